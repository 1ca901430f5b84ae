// Mail sealed for age recipients of the table, through real gateways, for keys of both kinds.
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { ageRecipientOf, generateAgeIdentity } from '../../lib/container/native-keys.ts'
import { SecretBytes } from '../../lib/crypto/secret-bytes.ts'
import type { AgeIdentityEntry } from '../../lib/vault/age-identities.ts'
import { freePort } from '../support/haraka.ts'
import { submit } from '../support/smtp-client.ts'
import type { Delivery } from '../support/smtp-sink.ts'
import { letter, startWorld, type World } from '../support/world.ts'

const text = (delivery: Delivery | undefined): string => delivery?.message.toString('latin1') ?? ''

function entryOf(id: string, identity: string, retired?: string): AgeIdentityEntry {
  const bytes = new SecretBytes(new TextEncoder().encode(identity))
  const created = '2026-11-22T00:00:00.000Z'
  return { id, identity: bytes, created, ...(retired !== undefined && { retired }) }
}

describe('a domain with age recipients in the table', () => {
  const [classic, hybrid, old] = [
    generateAgeIdentity('x25519'),
    generateAgeIdentity('mlkem768x25519'),
    generateAgeIdentity('x25519'),
  ]
  let world: World
  before(async () => {
    const ports = { a: await freePort(), b: await freePort() }
    const rule = (name: string, identity: string): string =>
      `  ${name}: { encrypt: required, scheme: age, age: [${ageRecipientOf(identity)}] }`
    const domainsB = ['b.example', 'pq.b.example', 'old.b.example', 'none.b.example']
    world = await startWorld({
      ports,
      ageB: {
        'b.example': [entryOf('classic', classic)],
        'pq.b.example': [
          entryOf('other', generateAgeIdentity('x25519')),
          entryOf('hybrid', hybrid),
        ],
        'old.b.example': [entryOf('old', old, '2026-11-22T00:00:00Z')],
      },
      routesA: Object.fromEntries(domainsB.map((name) => [name, ports.b])),
      plainDomains: ['spy.example'],
      tableA: [
        rule('b.example', classic),
        rule('pq.b.example', hybrid),
        rule('old.b.example', old),
        rule('spy.example', classic),
        '  none.b.example: { encrypt: required, scheme: age }',
      ].join('\n'),
      filesB: {
        'config/host_list': domainsB,
        'config/hisho.yaml': `local: [${domainsB.join(', ')}]\n`,
      },
    })
  })
  after(() => world?.close())
  beforeEach(() => {
    world.c.clear()
    world.inboxB.clear()
  })

  for (const [domain, key, kem] of [
    ['b.example', 'classic', 'x25519'],
    ['pq.b.example', 'hybrid', 'mlkem768x25519'],
  ] as const) {
    it(`${kem}: arrives byte for byte, and marked`, async () => {
      const to = [`bob@${domain}`, `carol@${domain}`]
      const message = letter('the secret', { To: to.join(', ') })
      assert.equal((await world.send(message, to)).code, 250)
      const [delivery] = await world.inboxB.waitFor(1)
      const mark = `Hisho-Decrypted: age; key="${key}"; kem=${kem}; integrity=ok; signature=unchecked\r\n`
      assert.ok(text(delivery).includes(mark), text(delivery))
      assert.ok(text(delivery).endsWith(message))
      assert.equal(delivery?.to.length, 2)
    })
  }

  it('on the wire there is ciphertext, which opens for nobody to whom it is sent again', async () => {
    const to = 'bob@spy.example'
    assert.equal((await world.send(letter('the secret', { To: to }), [to])).code, 250)
    const [sealed] = await world.c.waitFor(1)
    assert.match(text(sealed), /^Subject: \[\.\.\.\]\r$/m)
    assert.equal(world.c.wire().includes('the secret'), false)
    // The key is b.example's, and the file names bob@spy.example.
    await submit({
      port: world.b.port,
      from: 'alice@a.example',
      to: ['bob@b.example'],
      message: Buffer.from(text(sealed), 'latin1'),
    })
    const arrived = text((await world.inboxB.waitFor(1))[0])
    assert.match(arrived, /multipart\/encrypted/)
    assert.doesNotMatch(arrived, /the secret|Hisho-Decrypted/)
  })

  it('for a retired identity it is delivered as it came, without recipients it is refused', async () => {
    const old = 'bob@old.b.example'
    assert.equal((await world.send(letter('the secret', { To: old }), [old])).code, 250)
    assert.doesNotMatch(text((await world.inboxB.waitFor(1))[0]), /the secret|Hisho-Decrypted/)
    const none = 'bob@none.b.example'
    assert.equal((await world.send(letter('the secret', { To: none }), [none])).code, 550)
  })
})
