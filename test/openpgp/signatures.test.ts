import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, before, describe, it } from 'node:test'
import { createMessage, readPrivateKey, sign } from 'openpgp'
import { readMessage } from '../../lib/mail/message.ts'
import { writeArmor } from '../../lib/openpgp/armor.ts'
import type { OpenPgpPool } from '../../lib/openpgp/openpgp.ts'
import { bytesOf, latin1 } from '../mail/pieces.ts'
import { gpgPeer } from '../support/openpgp-peers.ts'
import { peer } from '../support/peers.ts'
import { newKey, ownKey, schemeOf, startPool, statusOf, type Known, type TestKey } from './world.ts'
import { ALICE, BOB, letter, opened, sealed } from '../support/scheme-mail.ts'

const PART = 'Content-Type: text/plain\r\n\r\nHello,  \r\nhere is the text.\r\n'

let pool: OpenPgpPool
let alice: TestKey
let other: TestKey
before(async () => {
  pool = startPool()
  alice = await newKey(pool, ALICE)
  other = await newKey(pool, 'mallory@a.example')
})
after(() => pool.close())

/** Armored, over some octets. */
async function signatureOver(content: string, key: TestKey): Promise<string> {
  const signature = await sign({
    message: await createMessage({ binary: bytesOf(content) }),
    signingKeys: await readPrivateKey({ binaryKey: key.secret }),
    detached: true,
    format: 'binary',
  })
  return latin1(Buffer.concat([...writeArmor('SIGNATURE', signature)]))
}

/** RFC 3156 section 5. */
function signedMail(signature: string, part = PART, from = `From: ${ALICE}\r\n`): string {
  return (
    `${from}To: ${BOB}\r\nContent-Type: multipart/signed; micalg=pgp-sha512;\r\n protocol="application/pgp-signature"; boundary=x\r\n\r\n` +
    `A preamble\r\n--x\r\n${part}\r\n--x\r\nContent-Type: application/pgp-signature; name="signature.asc"\r\n\r\n${signature}\r\n--x--\r\n`
  )
}

async function resultOf(mail: string, known: Known = { [ALICE]: [{ key: alice }] }) {
  const scheme = schemeOf({ pool, known })
  const message = await readMessage([bytesOf(mail)])
  assert.equal(scheme.detectSigned?.(message.fields, new Uint8Array()), true)
  const signature = await scheme.verify?.(message)
  assert.equal(signature?.method, 'x-openpgp')
  return signature.result
}

describe('a signature beside the text', () => {
  it('C14: passes for the very octets of its part, and its author', async () => {
    const mail = signedMail(await signatureOver(PART, alice))
    assert.deepEqual(await resultOf(mail), { status: 'pass', identity: ALICE, domain: 'a.example' })
    for (const bad of [
      mail.replace('the text', 'the test'),
      mail.replace('Hello,  \r\n', 'Hello,\r\n'),
      mail.replace('text.\r\n\r\n--x', 'text.\r\n--x'),
      mail.replace('\r\nContent-Type: text/plain', '\r\nContent-Type:  text/plain'),
    ])
      assert.deepEqual((await resultOf(bad)).status, 'fail')
  })

  it('C14: one of another address, of no known key, or of an untrusted one proves nothing', async () => {
    const mail = signedMail(await signatureOver(PART, alice))
    const status = async (known: Known, text = mail) => (await resultOf(text, known)).status
    assert.equal(
      await status({ [ALICE]: [{ key: alice, untrusted: 'another is pinned' }] }),
      'neutral',
    )
    assert.equal(await status({ [ALICE]: [{ key: other }] }), 'neutral')
    assert.equal(await status({}), 'neutral')
    const wkd = { key: alice, source: 'wkd' as const, addresses: ['mallory@a.example'] }
    assert.equal(await status({ [ALICE]: [wkd] }), 'neutral')
    const known = { [ALICE]: [{ key: alice }], 'mallory@a.example': [{ key: other }] }
    assert.equal(
      await status(known, mail.replace(`From: ${ALICE}`, 'From: mallory@a.example')),
      'neutral',
    )
    for (const from of [`From: ${ALICE}\r\nFrom: ${ALICE}\r\n`, `From: ${ALICE}, ${BOB}\r\n`, ''])
      assert.equal(await status(known, mail.replace(`From: ${ALICE}\r\n`, from)), 'neutral')
    const sender = `From: mallory@a.example\r\nSender: ${ALICE}\r\n`
    assert.equal(await status(known, mail.replace(`From: ${ALICE}\r\n`, sender)), 'neutral')
  })

  it('C14: digests below SHA-256 are none', { skip: peer('gpg', 'gnupg') }, async () => {
    const gpg = gpgPeer()
    try {
      const key = await newKey(pool, ALICE, { type: 'rsa3072' })
      const secret = latin1(Buffer.concat([...writeArmor('PRIVATE KEY BLOCK', key.secret)]))
      const run = (args: readonly string[], input: string): string =>
        execFileSync('gpg', ['--batch', ...args], {
          input: bytesOf(input),
          env: { ...process.env, GNUPGHOME: gpg.home },
          stdio: ['pipe', 'pipe', 'pipe'],
        }).toString('latin1')
      run(['--import'], secret)
      for (const [digest, expected] of [
        ['SHA1', 'fail'],
        ['SHA224', 'fail'],
        ['SHA256', 'pass'],
      ] as const) {
        const signature = run(['--armor', '--digest-algo', digest, '--detach-sign'], PART)
        const mail = signedMail(signature.replaceAll('\n', '\r\n'))
        assert.equal((await resultOf(mail, { [ALICE]: [{ key }] })).status, expected, digest)
      }
    } finally {
      await gpg.close()
    }
  })

  it('C14: of a key that was revoked since, it is not said to be good', async () => {
    const mail = signedMail(await signatureOver(PART, alice))
    for (const reason of ['retired', 'compromised'] as const) {
      const revoked = await pool.run('revoke', { secretKey: alice.secret, reason })
      const { found } = await pool.run('readKeys', { keys: revoked })
      const key = { ...alice, certificate: found[0]!.certificate }
      const { status } = await resultOf(mail, { [ALICE]: [{ key }] })
      assert.ok(status === 'neutral' || status === 'fail', status)
    }
  })

  it('what is not signed as it says is an error of its form, and never one of ours', async () => {
    const mail = signedMail(await signatureOver(PART, alice))
    for (const bad of [
      mail.replace('--x--', ''),
      mail.replace('application/pgp-signature; name', 'text/plain; name'),
      mail.replace('BEGIN PGP SIGNATURE', 'BEGIN PGP MESSAGE'),
      mail.replace(/\r\n--x\r\nContent-Type: application[^]*/, '\r\n--x--\r\n'),
      mail.replace('; boundary=x', ''),
    ])
      assert.equal((await resultOf(bad)).status, 'permerror')
    const armor = latin1(Buffer.concat([...writeArmor('SIGNATURE', bytesOf('no packets'))]))
    assert.equal((await resultOf(signedMail(armor))).status, 'permerror')
  })

  it('C14: a signed part inside of something else is not looked at', async () => {
    const mail = signedMail(await signatureOver(PART, alice))
    const scheme = schemeOf({ pool })
    const outer = `Content-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n${mail}\r\n--y--\r\n`
    const { fields } = await readMessage([bytesOf(outer)])
    assert.equal(scheme.detectSigned?.(fields, bytesOf(outer)), false)
  })
})

describe('a signature inside', () => {
  const schemes = (known: Known) => {
    const own = { 'a.example': [ownKey('alice', alice)] }
    return {
      sender: schemeOf({ pool, known: { [BOB]: [{ key: other }] }, own }),
      receiver: schemeOf({ pool, known, own: { 'b.example': [ownKey('bob', other)] } }),
    }
  }

  it('C14: is of the author of the message, or proves nothing', async () => {
    const { sender, receiver } = schemes({ [ALICE]: [{ key: alice }] })
    const wire = latin1(await sealed(sender, letter(), { author: ALICE }))
    assert.equal(statusOf(await opened(receiver, wire)), 'pass')
    // C15: the outside says another author.
    const moved = wire.replace(`<${ALICE}>`, '<mallory@a.example>')
    assert.equal(statusOf(await opened(receiver, moved)), 'neutral')
    const trusting = schemes({ 'a.example': [{ key: alice }] })
    assert.equal(statusOf(await opened(trusting.receiver, wire)), 'pass')
    assert.equal(
      statusOf(await opened(trusting.receiver, moved)),
      'neutral',
      'the key is of all of them',
    )
  })

  it('of one of ours is known from the vault', async () => {
    const own = { 'a.example': [ownKey('alice', alice), ownKey('bob', other)] }
    const scheme = schemeOf({ pool, own, known: { 'bob@a.example': [{ key: other }] } })
    const to = ['bob@a.example']
    const wire = await sealed(scheme, letter({ To: to.join() }), { to, author: ALICE })
    assert.equal(statusOf(await opened(scheme, wire, to)), 'pass')
  })
})
