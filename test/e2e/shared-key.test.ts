// The experiment of the CMS paper: a site with a key and a cipher for each other site, over IPv4 and IPv6, and what goes wrong.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { isWeak, SUITES, type Suite } from '../../lib/container/suite.ts'
import { SecretBytes } from '../../lib/crypto/secret-bytes.ts'
import { withSharedKey, type SharedKeyEntry } from '../../lib/vault/shared-keys.ts'
import { freePort, startHaraka } from '../support/haraka.ts'
import { siteFiles, vaultBytes } from '../support/site.ts'
import { submit } from '../support/smtp-client.ts'
import type { Delivery } from '../support/smtp-sink.ts'
import { letter, startWorld, type World } from '../support/world.ts'

const LEGACY = { NODE_OPTIONS: '--openssl-legacy-provider' }

function key(id: string, fill: number, more: Partial<SharedKeyEntry> = {}): SharedKeyEntry {
  const bytes = new SecretBytes(new Uint8Array(32).fill(fill))
  return {
    id,
    key: bytes,
    created: `2026-11-22T00:00:${String(fill).padStart(2, '0')}.000Z`,
    ...more,
  }
}

const text = (delivery: Delivery | undefined): string => delivery?.message.toString('latin1') ?? ''

/** The first line of the file in a message of ours. */
function firstLine(message: string): string {
  const part = message.split('filename="encrypted.hisho"')[1] ?? ''
  const body = part.slice(part.indexOf('\r\n\r\n'))
  return Buffer.from(body, 'base64').toString('latin1').split('\n')[0] ?? ''
}

/** A domain of b's own for each cipher, and one whose mail stays as it was on the wire. */
const byCipher = SUITES.map((suite, at) => ({
  suite,
  at: `c${at}.b.example`,
  spy: `c${at}.spy.example`,
}))

function ruleFor(suite: Suite): string {
  const legacy = isWeak(suite) ? ', legacy: true' : ''
  return `{ encrypt: required, scheme: shared-key, key: k1, suite: ${suite}${legacy} }`
}

for (const host of ['127.0.0.1', '::1'])
  describe(`A, B and C over ${host}`, () => {
    let world: World
    before(async () => {
      const ports = { a: await freePort(host), b: await freePort(host) }
      const domainsB = ['b.example', ...byCipher.map(({ at }) => at)]
      world = await startWorld({
        host,
        ports,
        environmentA: LEGACY,
        environmentB: LEGACY,
        sharedA: { 'b.example': [key('k1', 1)] },
        sharedB: { 'a.example': [key('k1', 1)] },
        routesA: Object.fromEntries(byCipher.map(({ at }) => [at, ports.b])),
        plainDomains: byCipher.map(({ spy }) => spy),
        tableA: [
          "  '*': { encrypt: opportunistic }",
          ...byCipher.flatMap(({ suite, at, spy }) =>
            [at, spy].map((name) => `  ${name}: ${ruleFor(suite)}`),
          ),
        ].join('\n'),
        filesB: {
          'config/host_list': domainsB,
          'config/hisho.yaml': `local: [${domainsB.join(', ')}]\ndomains:\n  a.example: { legacy: true }\n`,
        },
      })
    })
    after(() => world?.close())
    beforeEach(() => {
      world.c.clear()
      world.inboxB.clear()
    })

    for (const { suite, at, spy } of byCipher) {
      it(`A to B with ${suite}`, async () => {
        const secret = `secret of ${at}`
        const message = letter(secret, { To: `bob@${at}` })
        assert.equal((await world.send(message, [`bob@${at}`])).code, 250)
        const [delivery] = await world.inboxB.waitFor(1)
        const strength = isWeak(suite) ? '; strength=weak' : ''
        const mark = `Hisho-Decrypted: shared-key; key="k1"; suite=${suite}${strength}; site="a.example"; from=site; integrity=ok; signature=unchecked\r\n`
        assert.ok(text(delivery).includes(mark), text(delivery))
        assert.ok(text(delivery).endsWith(message))

        assert.equal((await world.send(letter(secret, { To: `x@${spy}` }), [`x@${spy}`])).code, 250)
        const [sealed] = await world.c.waitFor(1)
        const isAge = suite === 'chacha20-poly1305'
        assert.equal(
          firstLine(text(sealed)),
          isAge ? 'age-encryption.org/v1' : `hisho-encryption/v1 ${suite}`,
        )
        assert.match(text(sealed), /^Subject: \[\.\.\.\]\r$/m)
        assert.equal(world.c.wire().includes(secret), false)
      })
    }

    it('A to C in clear', async () => {
      const message = letter('no secret', { To: 'carol@c.example' })
      assert.equal((await world.send(message, ['carol@c.example'])).code, 250)
      assert.ok(text((await world.c.waitFor(1))[0]).endsWith(message))
    })

    it('one mail to B and C: sealed for the one, in clear for the other', async () => {
      const bob = `bob@${byCipher[1]?.at}`
      const message = letter('half a secret', { To: `${bob}, carol@c.example` })
      assert.equal((await world.send(message, [bob, 'carol@c.example'])).code, 250)
      assert.match(text((await world.inboxB.waitFor(1))[0]), /^Hisho-Decrypted: shared-key/m)
      assert.ok(text((await world.c.waitFor(1))[0]).endsWith(message))
    })
  })

describe('where the two sides do not agree', () => {
  let world: World
  const names = ['wrong', 'retired', 'missing', 'late', 'weak', 'none', 'gone']
  const at = (name: string): string => `${name}.b.example`

  before(async () => {
    const ports = { a: await freePort(), b: await freePort() }
    const rule = (name: string, more = ''): string =>
      `  ${at(name)}: { encrypt: required, scheme: shared-key, key: ${name}${more} }`
    world = await startWorld({
      ports,
      sharedA: {
        'b.example': [
          ...['wrong', 'retired', 'missing', 'late', 'weak', 'good'].map((name, n) =>
            key(name, n + 1),
          ),
          key('gone', 9, { retired: '2026-11-22T00:00:00Z' }),
        ],
      },
      sharedB: {
        'a.example': [
          key('wrong', 50),
          key('retired', 2, { retired: '2026-11-22T00:00:00Z' }),
          key('weak', 5),
          key('good', 6),
        ],
      },
      routesA: Object.fromEntries(names.map((name) => [at(name), ports.b])),
      plainDomains: ['spy.example'],
      tableA: [
        ...['wrong', 'retired', 'missing', 'late', 'gone'].map((name) => rule(name)),
        rule('weak', ', legacy: true, suite: des-ede3-cbc-hmac-sha256'),
        `  ${at('none')}: { encrypt: required, scheme: shared-key }`,
        '  spy.example: { encrypt: required, scheme: shared-key, key: good }',
      ].join('\n'),
      filesB: {
        'config/host_list': ['b.example', ...names.map(at)],
        'config/hisho.yaml': `local: [b.example, ${names.map(at).join(', ')}]\n`,
      },
    })
  })
  after(() => world?.close())
  beforeEach(() => {
    world.inboxB.clear()
    world.c.clear()
    world.b.forgetLog()
  })

  const send = (name: string, secret: string) =>
    world.send(letter(secret, { To: `bob@${at(name)}` }), [`bob@${at(name)}`])

  for (const [name, why] of [
    ['wrong', /not opened, delivered as it came: container\/no-match/],
    [
      'weak',
      /not opened, .*des-ede3.* is weak, and the table does not say legacy: true for a\.example/,
    ],
  ] as const) {
    it(`${name}: the ciphertext is delivered as it came, and the log says why`, async () => {
      assert.equal((await send(name, 'the secret')).code, 250)
      const [delivery] = await world.inboxB.waitFor(1)
      assert.match(text(delivery), /multipart\/encrypted/)
      assert.doesNotMatch(text(delivery), /the secret|Hisho-Decrypted/)
      await world.b.waitForLog(why)
    })
  }

  for (const name of ['retired', 'missing']) {
    it(`${name} at B: the mail waits at A, and nothing of it is anywhere in clear`, async () => {
      assert.equal((await send(name, 'the secret')).code, 250)
      await world.b.waitForLog(new RegExp(`protection/no-key: shared key "${name}"`))
      assert.equal(world.inboxB.deliveries.length, 0)
      assert.equal(world.a.queued().length > 0, true)
      assert.doesNotMatch(`${world.a.log()}${world.b.log()}`, /the secret/)
    })
  }

  it('it waits no longer than until B has the key', async () => {
    assert.equal((await send('late', 'the late secret')).code, 250)
    await world.b.waitForLog(/shared key "late" is not in the vault/)
    const contents = withSharedKey(world.keysB.contents, 'a.example', key('late', 4))
    const vault = await vaultBytes(contents, world.keysB.passphrase)
    writeFileSync(join(world.b.directory, 'config/hisho.vault.age'), vault)
    assert.match(text((await world.inboxB.waitFor(1))[0]), /key="late".*\r\n[^]*the late secret/)
  })

  it('no key at A, or a retired one: refused or deferred while the sender is connected', async () => {
    const none = await send('none', 'the secret')
    assert.equal(none.code, 550)
    assert.match(none.text, /5\.7\.3 .*required.*no key/)
    const gone = await send('gone', 'the secret')
    assert.equal(gone.code, 450)
    assert.match(gone.text, /4\.7\.3/)
    assert.equal(world.inboxB.deliveries.length, 0)
  })

  it('damaged, or sent to somebody else: delivered as it came', async () => {
    const to = 'bob@spy.example'
    assert.equal((await world.send(letter('the secret', { To: to }), [to])).code, 250)
    const sealed = text((await world.c.waitFor(1))[0])
    const last = sealed.lastIndexOf('\r\n--') - 6
    const flipped = `${sealed.slice(0, last)}${sealed[last] === 'A' ? 'B' : 'A'}${sealed.slice(last + 1)}`
    for (const message of [flipped, sealed]) {
      world.inboxB.clear()
      // Sealed for bob@spy.example: whoever brings it to B, nobody of B's is named in it.
      await submit({
        port: world.b.port,
        from: 'alice@a.example',
        to: ['bob@b.example'],
        message: Buffer.from(message, 'latin1'),
      })
      const arrived = text((await world.inboxB.waitFor(1))[0])
      assert.match(arrived, /multipart\/encrypted/)
      assert.doesNotMatch(arrived, /the secret|Hisho-Decrypted/)
    }
  })
})

describe('while a vault is locked', () => {
  it('A defers, even where a failed look-up would let mail go in clear', async () => {
    const world = await startWorld({
      environmentA: { HISHO_PASSPHRASE: 'another' },
      sharedA: { 'b.example': [key('k1', 1)] },
      tableA:
        '  b.example: { encrypt: opportunistic, scheme: shared-key, on_lookup_failure: send_plain }',
    })
    try {
      const reply = await world.send(letter('the secret'))
      assert.equal(reply.code, 450)
      assert.equal(world.inboxB.deliveries.length, 0)
      await world.a.waitForLog(/vault\/locked/)
    } finally {
      await world.close()
    }
  })

  it('B defers, and the mail waits at A as ciphertext', async () => {
    const world = await startWorld({
      vaultB: 'none',
      sharedA: { 'b.example': [key('k1', 1)] },
      tableA: '  b.example: { encrypt: required, scheme: shared-key }',
    })
    try {
      assert.equal((await world.send(letter('the secret'))).code, 250)
      await world.b.waitForLog(/vault locked/)
      await world.a.waitForLog(/Temp failing .* 450 4\.7\.5/)
      assert.equal(world.inboxB.deliveries.length, 0)
      assert.equal(world.a.queued().length > 0, true)
    } finally {
      await world.close()
    }
  })
})

describe('a cipher that this Node has not', () => {
  it('is an error at start that says how to have it', async () => {
    const world = await startWorld({ sharedA: { 'b.example': [key('k1', 1)] } })
    try {
      const files = siteFiles({
        domain: 'a.example',
        keys: world.keysA,
        dnsPort: world.dns.port,
        mailbox: 1,
        routes: {},
        table: `  b.example: ${ruleFor('idea-cbc-hmac-sha256')}`,
      })
      await assert.rejects(
        startHaraka({ files }),
        /idea-cbc.*NODE_OPTIONS=--openssl-legacy-provider/,
      )
    } finally {
      await world.close()
    }
  })
})
