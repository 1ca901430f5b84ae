// What cannot be opened: delivered as it came, or deferred while the cause is temporary; and nothing gets past decrypt.
import assert from 'node:assert/strict'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { SecretBytes } from '../../lib/crypto/secret-bytes.ts'
import { entriesOf, withEntry } from '../../lib/vault/contents.ts'
import { writeVault } from '../../lib/vault/vault.ts'
import { sabotage, saboteurFiles } from '../support/saboteur.ts'
import { submit } from '../support/smtp-client.ts'
import { letter, startWorld, type World } from '../support/world.ts'

describe('a gateway whose vault is locked', () => {
  let world: World
  before(async () => {
    // Neither vault opens: to encrypt, none is needed.
    const locked = { 'config/hisho.vault.age': 'not an age file' }
    world = await startWorld({ filesA: locked, filesB: locked })
  })
  after(() => world?.close())

  it('defers what is sealed for it, takes other mail, and opens once the vault is there', async () => {
    assert.equal((await world.send(letter('patience'))).code, 250)
    await world.a.waitForLog(/450.*4\.7\.5|4\.7\.5.*try again/)
    assert.match(world.a.log(), /encrypted for 1 at b\.example/)
    assert.equal(world.inboxB.deliveries.length, 0)
    assert.match(world.b.log(), /vault locked/)
    assert.equal(world.a.queued().length, 1, 'still queued')

    const plain = await submit({
      port: world.b.port,
      from: 'x@c.example',
      to: ['bob@b.example'],
      message: Buffer.from(letter('in clear')),
    })
    assert.equal(plain.code, 250)
    await world.inboxB.waitFor(1)

    const file = join(world.b.directory, 'config', 'hisho.vault.age')
    await writeVault(
      `${file}.new`,
      world.keysB.contents,
      new SecretBytes(new TextEncoder().encode(world.keysB.passphrase)),
    )
    renameSync(`${file}.new`, file)
    const deliveries = await world.inboxB.waitFor(2, 40_000) // a tries again after 5 seconds, b looks at the file every 5
    assert.match(deliveries[1]!.message.toString(), /here is patience/)
  })
})

describe('mail that cannot be opened', () => {
  let world: World
  before(async () => {
    world = await startWorld({
      pluginsB: [
        'auth/flat_file',
        'rcpt_to.in_host_list',
        'saboteur',
        'hisho/decrypt',
        'hisho/encrypt',
        'queue/smtp_forward',
      ],
      filesB: saboteurFiles('hisho/decrypt', 'open_message'),
    })
  })
  after(() => world?.close())
  beforeEach(() => {
    sabotage(world.b, 'none')
    world.inboxB.clear()
  })

  for (const how of ['throw', 'hang', 'skip', 'kill threads'] as const) {
    it(`C28 C28a: decrypt is sabotaged (${how}): the mail waits at the sender and arrives opened later`, async () => {
      sabotage(world.b, how)
      world.b.forgetLog()
      const to = `${how.replace(' ', '-')}@b.example` // no key is held for this identity yet
      assert.equal((await world.send(letter(`later ${how}`, { To: to }), [to])).code, 250)
      await world.b.waitForLog(
        {
          hang: /plugin timeout|timed out/,
          'kill threads': /protection\/not-opened.*crypto\//,
          throw: /did not see this message/,
          skip: /did not see this message/,
        }[how],
      )
      assert.equal(world.inboxB.deliveries.length, 0)
      sabotage(world.b, 'none')
      const [delivery] = await world.inboxB.waitFor(1, 30_000)
      assert.match(delivery!.message.toString(), new RegExp(`here is later ${how}`))
    })
  }

  it('a retired key: delivered as it came, with a line that says why', async () => {
    const file = join(world.b.directory, 'config', 'hisho.vault.age')
    const [entry] = entriesOf(world.keysB.contents, 'b.example', 'bf')
    const retired = withEntry(world.keysB.contents, 'b.example', {
      ...entry!,
      retired: new Date().toISOString(),
    })
    await writeVault(
      `${file}.new`,
      retired,
      new SecretBytes(new TextEncoder().encode(world.keysB.passphrase)),
    )
    renameSync(`${file}.new`, file)
    for (let tries = 0; tries < 20; tries++) {
      world.inboxB.clear()
      await world.send(letter('too late'))
      const [delivery] = await world.inboxB.waitFor(1)
      if (/hisho-encrypted/.test(delivery!.message.toString())) {
        assert.match(world.b.log(), /not opened, delivered as it came: .*no key n=1 for b\.example/)
        return
      }
      await new Promise((resolve) => setTimeout(resolve, 1000))
    }
    assert.fail('the retired key is still in use')
  })
})

describe('what is not required', () => {
  let world: World
  before(async () => {
    world = await startWorld({
      plainDomains: ['deaf.example', 'easy.example', 'bounce.example', 'keyless.example'],
      tableA:
        "  easy.example: { encrypt: opportunistic, on_lookup_failure: send_plain }\n  bounce.example: { encrypt: required }\n  keyless.example: { encrypt: required }\n  '*': { encrypt: opportunistic }",
      zone: {
        '_ibemailkey.deaf.example': { TXT: [], misbehave: 'servfail' },
        '_ibemailkey.easy.example': { TXT: [], misbehave: 'servfail' },
      },
    })
  })
  after(() => world?.close())
  beforeEach(() => world.c.clear())

  it('is deferred too while DNS fails', async () => {
    const reply = await world.send(letter('x', { To: 'x@deaf.example' }), ['x@deaf.example'])
    assert.equal(reply.code, 450)
  })

  it('goes in clear where the table says so', async () => {
    assert.equal(
      (await world.send(letter('x', { To: 'x@easy.example' }), ['x@easy.example'])).code,
      250,
    )
    await world.c.waitFor(1)
    assert.match(world.a.log(), /easy\.example: .*sent in clear \(on_lookup_failure: send_plain\)/)
  })

  it('a change of the table counts within seconds, a bad one does not', async () => {
    const file = join(world.a.directory, 'config', 'hisho.yaml')
    const good = readFileSync(file, 'utf8')
    const sendTo = (): Promise<{ code: number }> =>
      world.send(letter('x', { To: 'x@c.example' }), ['x@c.example'])
    assert.equal((await sendTo()).code, 250)
    writeFileSync(file, good.replace("  '*'", "  c.example: { encrypt: required }\n  '*'"))
    await eventually(async () => (await sendTo()).code === 550)
    writeFileSync(file, good.replace("  '*'", "  c.example: { encrypt: nonsense }\n  '*'"))
    await eventually(async () => {
      assert.equal((await sendTo()).code, 550, 'the last good table stays')
      return /domain table refused, the last good one stays: .*hisho\.yaml:\d+:\d+: domains\.c\.example\.encrypt/.test(
        world.a.log(),
      )
    })
    writeFileSync(file, good)
    await eventually(async () => (await sendTo()).code === 250)
  })

  it("Haraka's own bounce to a domain with a key is encrypted", async () => {
    world.dns.zone['_ibemailkey.bounce.example'] = { TXT: [world.keysB.record], ttl: 1 }
    const reply = await world.send(
      letter('bounced subject', { To: 'nobody@c.example' }),
      ['nobody@c.example'],
      'sender@bounce.example',
    )
    assert.equal(reply.code, 250)
    await eventually(async () => world.c.deliveries.some(({ from }) => from === ''))
    const bounce = world.c.deliveries.find(({ from }) => from === '')
    assert.match(bounce!.message.toString(), /application\/hisho-encrypted/)
    assert.equal(world.c.wire().includes('bounced subject'), false)
  })

  it("Haraka's own bounce to a domain that must have encryption and has no key is held back", async () => {
    const reply = await world.send(
      letter('held subject', { To: 'nobody@c.example' }),
      ['nobody@c.example'],
      'sender@keyless.example',
    )
    assert.equal(reply.code, 250)
    await world.a.waitForLog(/haraka\/unprotected: keyless\.example requires encryption/)
    assert.equal(world.c.wire().includes('held subject'), false)
  })
})

async function eventually(check: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 40; tries++) {
    if (await check()) return
    await new Promise((resolve) => setTimeout(resolve, 250))
  }
  assert.fail('not within 10 seconds')
}
