// OpenPGP between real gateways: under keys of the domain and of users, and with gpg at the other end.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, before, beforeEach, describe, it } from 'node:test'
import type { MailKeyEntry } from '../../lib/vault/mail-keys.ts'
import { dnsNamesOf } from '../../lib/key-directory/names.ts'
import { writeArmor } from '../../lib/openpgp/armor.ts'
import { newKey, ownKey, startPool, type TestKey } from '../openpgp/world.ts'
import { freePort } from '../support/haraka.ts'
import { gpgPeer, type OpenPgpPeer, type PeerKey } from '../support/openpgp-peers.ts'
import { peer } from '../support/peers.ts'
import { submit } from '../support/smtp-client.ts'
import type { Delivery } from '../support/smtp-sink.ts'
import { letter, startWorld, type World } from '../support/world.ts'

const text = (delivery: Delivery | undefined): string => delivery?.message.toString('latin1') ?? ''

const armor = (type: Parameters<typeof writeArmor>[0], bytes: Uint8Array): string =>
  Buffer.concat([...writeArmor(type, bytes)]).toString('latin1')
const published = ({ certificate }: TestKey): string => armor('PUBLIC KEY BLOCK', certificate)
const forPeer = (key: TestKey): PeerKey => ({
  fingerprint: key.fingerprint,
  secret: armor('PRIVATE KEY BLOCK', key.secret),
  certificate: published(key),
})
const entry = (user: string, key: TestKey): MailKeyEntry => ({
  ...ownKey(user, key),
  certificates: [],
})

describe('a domain with OpenPGP in the table', () => {
  let world: World
  let site: TestKey
  let bob: TestKey
  let alice: TestKey
  let carol: TestKey
  let eve: TestKey
  let dan: TestKey
  before(async () => {
    const pool = startPool()
    site = await newKey(pool, '*@b.example')
    bob = await newKey(pool, 'bob@b.example')
    alice = await newKey(pool, '*@a.example')
    carol = await newKey(pool, 'carol@c.example')
    eve = await newKey(pool, 'eve@b.example')
    dan = await newKey(pool, 'dan@dns.example')
    await pool.close()
    const ports = { a: await freePort(), b: await freePort() }
    world = await startWorld({
      ports,
      mailA: { 'a.example': { openpgp: [entry('*', alice)] } },
      mailB: { 'b.example': { openpgp: [entry('*', site), entry('bob', bob), entry('eve', eve)] } },
      plainDomains: ['spy.example', 'dns.example'],
      tableA: [
        '  b.example: { encrypt: required, scheme: openpgp }',
        '  spy.example: { encrypt: required, scheme: openpgp }',
        '  dns.example: { encrypt: required, scheme: openpgp, key_sources: [dnssec] }',
        '  none.example: { encrypt: required, scheme: openpgp, key_sources: [operator] }',
      ].join('\n'),
      filesA: {
        'config/hisho.keys/openpgp/b.example.asc': published(site),
        'config/hisho.keys/openpgp/eve@b.example.asc': published(eve),
        'config/hisho.keys/openpgp/spy.example.asc': published(site),
      },
      filesB: {
        'config/hisho.keys/openpgp/a.example.asc': published(alice),
        'config/hisho.keys/openpgp/carol@c.example.asc': published(carol),
      },
    })
  })
  after(() => world?.close())
  beforeEach(() => {
    world.c.clear()
    world.inboxB.clear()
  })

  it('mail under the domain’s key arrives byte for byte, with its subject, and marked', async () => {
    const to = ['bob@b.example', 'dora@b.example']
    const message = letter('the secret', { To: to.join(', ') })
    assert.equal((await world.send(message, to)).code, 250)
    const [delivery] = await world.inboxB.waitFor(1)
    assert.match(
      text(delivery),
      new RegExp(`^Hisho-Decrypted: openpgp; key="${site.fingerprint}"; cipher=aes256; `, 'm'),
    )
    assert.ok(text(delivery).endsWith(message), text(delivery))
    assert.deepEqual(delivery?.to.length, 2)
  })

  it('each gets it under their own key, or the domain’s, signed by the key of the author’s domain', async () => {
    const message = letter('the secret', { To: 'eve@b.example, dora@b.example' })
    assert.equal((await world.send(message, ['eve@b.example', 'dora@b.example'])).code, 250)
    const [delivery] = await world.inboxB.waitFor(1)
    const mark = /^Hisho-Decrypted: [^]*?\r\n(?=\S)/m.exec(text(delivery))?.[0] ?? ''
    for (const { fingerprint } of [eve, site]) assert.ok(mark.includes(fingerprint), mark)
    assert.match(mark, /signature=pass[^]*x-openpgp[^]*alice@a\.example/)
    assert.deepEqual(delivery?.to.toSorted(), ['dora@b.example', 'eve@b.example'])
    assert.ok(text(delivery).endsWith(message))
  })

  it('C7 C16: on the wire there is no plaintext, and it opens for nobody to whom it is sent again', async () => {
    const to = 'bob@spy.example'
    assert.equal((await world.send(letter('the secret', { To: to }), [to])).code, 250)
    const [sealed] = await world.c.waitFor(1)
    assert.match(text(sealed), /^Subject: \[\.\.\.\]\r$/m)
    assert.match(
      text(sealed),
      /^Content-Type: multipart\/encrypted; protocol="application\/pgp-encrypted"/m,
    )
    assert.equal(world.c.wire().includes('secret'), false)
    await deliver(text(sealed), 'dora@b.example')
    const arrived = text((await world.inboxB.waitFor(1))[0])
    assert.match(arrived, /multipart\/encrypted/)
    assert.doesNotMatch(arrived, /the secret|Hisho-Decrypted/)
  })

  it('C17: without a key nothing goes out where encryption is required', async () => {
    const to = 'bob@none.example'
    assert.equal((await world.send(letter('the secret', { To: to }), [to])).code, 550)
  })

  it('a key stands in DNS under the address as it is written', async () => {
    const [asWritten = ''] = dnsNamesOf('openpgp', 'dan@dns.example', 'Dan@dns.example')
    world.dns.zone[asWritten] = { OPENPGPKEY: [dan.certificate], authentic: true }
    const message = letter('the secret', { To: 'Dan@dns.example' })
    assert.equal((await world.send(message, ['dan@dns.example'])).code, 550)
    assert.equal((await world.send(message, ['Dan@dns.example'])).code, 250)
    const [sealed] = await world.c.waitFor(1)
    assert.deepEqual(sealed?.to, ['Dan@dns.example'])
    assert.match(text(sealed), /^-----BEGIN PGP MESSAGE-----\r$/m)
    assert.equal(world.c.wire().includes('secret'), false)
  })

  const deliver = (message: string, to = 'bob@b.example') =>
    submit({
      port: world.b.port,
      from: 'carol@c.example',
      to: [to],
      message: Buffer.from(message, 'latin1'),
    })

  describe('and gpg', { skip: peer('gpg', 'gnupg') }, () => {
    const ENTITY = 'Content-Type: text/plain; charset=utf-8\r\n\r\nHello, here is the secret.\r\n'
    let gpg: OpenPgpPeer
    before(() => {
      gpg = gpgPeer()
    })
    after(() => gpg.close())

    const mailOf = (message: string): string =>
      [
        'From: Carol <carol@c.example>\r\nTo: bob@b.example\r\nSubject: outside\r\nMIME-Version: 1.0',
        'Content-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary="x"\r\n',
        'This is an OpenPGP/MIME encrypted message (RFC 4880 and 3156)\r\n--x',
        'Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n\r\n--x',
        `Content-Type: application/octet-stream; name="encrypted.asc"\r\n\r\n${message.replaceAll(/\r?\n/g, '\r\n')}`,
        '--x--\r\n',
      ].join('\r\n')
    const byGpg = async (): Promise<string> =>
      mailOf(
        Buffer.from(
          await gpg.seal(Buffer.from(ENTITY), [forPeer(bob)], [forPeer(carol)]),
        ).toString(),
      )

    it('what it has sealed and signed for a user opens for that user alone', async () => {
      const message = await byGpg()
      assert.equal((await deliver(message)).code, 250)
      const [delivery] = await world.inboxB.waitFor(1)
      assert.match(
        text(delivery),
        new RegExp(`^Hisho-Decrypted: openpgp; key="${bob.fingerprint}"; `, 'm'),
      )
      assert.match(text(delivery), /^Subject: outside\r$/m)
      assert.ok(text(delivery).endsWith(ENTITY.slice(ENTITY.indexOf('\r\n\r\n'))))
      world.inboxB.clear()
      assert.equal((await deliver(message, 'dora@b.example')).code, 250)
      assert.doesNotMatch(text((await world.inboxB.waitFor(1))[0]), /secret|Hisho-Decrypted/)
    })

    it('C1: damaged, or without integrity protection, it is delivered as it came', async () => {
      const message = await byGpg()
      const lines = message.split('\r\n')
      const at = lines.indexOf('-----END PGP MESSAGE-----') - 3
      lines[at] = `${lines[at]?.[0] === 'A' ? 'B' : 'A'}${lines[at]?.slice(1)}`
      assert.equal((await deliver(lines.join('\r\n'))).code, 250)
      const damaged = text((await world.inboxB.waitFor(1))[0])
      assert.match(damaged, /-----BEGIN PGP MESSAGE-----/)
      assert.doesNotMatch(damaged, /secret|Hisho-Decrypted/)
      world.inboxB.clear()
      const home = gpg.home ?? ''
      const old = [
        '--rfc2440',
        '--disable-mdc',
        '--cipher-algo',
        'AES256',
        '--trust-model',
        'always',
      ]
      const bare = execFileSync(
        'gpg',
        ['--batch', '--armor', ...old, '-r', bob.fingerprint, '--encrypt'],
        {
          input: ENTITY,
          env: { ...process.env, GNUPGHOME: home },
          stdio: ['pipe', 'pipe', 'pipe'],
        },
      )
      assert.equal((await deliver(mailOf(bare.toString()))).code, 250)
      assert.doesNotMatch(text((await world.inboxB.waitFor(1))[0]), /secret|Hisho-Decrypted/)
    })
  })
})
