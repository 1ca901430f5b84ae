import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { deflateSync } from 'node:zlib'
import fc from 'fast-check'
import { TempError } from '../../lib/errors.ts'
import { collect, readMessage } from '../../lib/mail/message.ts'
import type { ContentSignature, Scheme } from '../../lib/mail/scheme.ts'
import { OID } from '../../lib/smime/cms/algorithm.ts'
import { sealContent, type Profile } from '../../lib/smime/cms/seal.ts'
import { aroundSigned } from '../../lib/smime/mime.ts'
import { SMIME } from '../../lib/smime/settings.ts'
import { signData } from '../../lib/smime/signed/sign.ts'
import { createSmimePool, type SmimePool } from '../../lib/smime/pool.ts'
import {
  element,
  integer,
  objectIdentifier,
  octetString,
  sequence,
} from '../../lib/x509/der-writer.ts'
import { bytesOf } from '../mail/pieces.ts'
import { certify } from '../support/certificates.ts'
import { mailAuthority, signingKey, trusting } from '../support/mail-certificates.ts'
import {
  asMail,
  certificateOf,
  clock,
  fingerprintOf,
  ownKey,
  schemeOf,
  startPool,
  trust,
  type SchemeWorld,
  sealedText as sealed,
} from './world.ts'
import { ALICE, BOB, letter, opened, textOf } from '../support/scheme-mail.ts'

const PROFILES: readonly Profile[] = ['compat', 'modern']
const CLOSED = 'closed: smime/decrypt: it does not open with our key'

const alice = certificateOf(ALICE)
const bob = certificateOf(BOB)
const bobRsa = certificateOf(BOB, { key: 'rsa2048' })
const carol = certificateOf('carol@b.example')
const site = certificateOf('domain-confidentiality-authority@b.example')
const mallory = certificateOf('mallory@c.example')

let pool: SmimePool
before(() => {
  pool = startPool()
})
after(() => pool.close())

const sender = (more: Partial<SchemeWorld> = {}): Scheme =>
  schemeOf({
    pool,
    known: { [BOB]: [{ certificate: bob }], 'b.example': [{ certificate: site }] },
    own: { 'a.example': [ownKey('alice', alice)] },
    ...more,
  })
const receiver = (more: Partial<SchemeWorld> = {}): Scheme =>
  schemeOf({
    pool,
    own: { 'b.example': [ownKey('bob', bob), ownKey('carol', carol), ownKey('*', site)] },
    ...more,
  })

const PASS: ContentSignature = {
  method: 'smime',
  result: { status: 'pass', identity: ALICE, domain: 'a.example' },
}

describe('S/MIME as a scheme', () => {
  for (const profile of PROFILES) {
    it(`${profile}: seals and signs inside, and opens byte for byte`, async () => {
      const body = 'Grüße, \xff\x00 and a lone\nline end\r\n.\r\n\r\n'
      const message = letter({ To: 'bob@b.example, carol@c.example', 'X-Own': 'stays' }, body)
      const wire = await sealed(sender(), message, { author: ALICE, settings: { smime: profile } })
      const opening = await opened(receiver(), wire)
      assert.equal(await textOf(opening), message)
      assert.ok(opening.status === 'opened')
      assert.deepEqual(opening.addresses, [BOB])
      const cipher = profile === 'compat' ? 'aes-256-cbc' : 'aes-256-gcm'
      assert.equal(
        opening.description,
        `smime; key="${fingerprintOf(bob)}"; cipher=${cipher}; transport=ecdh`,
      )
      assert.equal(opening.integrity, 'ok')
      assert.deepEqual(opening.signature, PASS)
      assert.match(opening.sealedKeyId ?? '', /^[0-9a-f]{64}$/)
    })

    it(`C16: ${profile}: outside there is no subject and no field of the content`, async () => {
      const message = letter({ 'X-Originating-IP': '192.0.2.1', Keywords: 'secret' })
      const wire = await sealed(sender(), message, { settings: { smime: profile } })
      assert.doesNotMatch(wire, /secret|192\.0\.2\.1/)
      assert.match(wire, /^Subject: \[\.\.\.\]\r$/m)
      const type = profile === 'compat' ? 'enveloped-data' : 'authEnveloped-data'
      const shape = new RegExp(
        String.raw`MIME-Version: 1\.0\r\nContent-Type: application/pkcs7-mime; smime-type=${type};\r\n name="smime\.p7m"\r\n` +
          String.raw`Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename="smime\.p7m"\r\n\r\n[A-Za-z0-9+/=\r\n]+$`,
      )
      assert.match(wire, shape)
      const { fields, body } = await readMessage([bytesOf(wire)])
      assert.ok(receiver().detect(fields, (await collect(body)).subarray(0, 200)))
    })
  }

  it('for RSA and EC recipients alike, and for a whole domain', async () => {
    const known = { [BOB]: [{ certificate: bobRsa }], 'b.example': [{ certificate: site }] }
    const to = [BOB, 'dave@b.example']
    const wire = await sealed(sender({ known }), letter({ To: to.join(', ') }), { to })
    const own = { 'b.example': [ownKey('bob', bobRsa), ownKey('*', site)] }
    const opening = await opened(receiver({ own }), wire, to)
    assert.ok(opening.status === 'opened')
    assert.deepEqual(opening.addresses.toSorted(), to)
    assert.match(opening.description, /key="[0-9a-f]{64}","[0-9a-f]{64}"/)
  })

  it('without a key of the author it seals unsigned, and says so; whoever is not proven does not get signed for', async () => {
    const logged: string[] = []
    const wire = await sealed(sender({ logged }), letter(), { author: 'eve@a.example' })
    const opening = await opened(receiver(), wire)
    assert.ok(opening.status === 'opened')
    assert.deepEqual([opening.integrity, opening.signature], ['unproven', undefined])
    assert.match(logged.join(), /unsigned/)
    const other = await opened(receiver(), await sealed(sender(), letter()))
    assert.equal(other.status === 'opened' && other.signature, undefined)
  })

  it('a user without a key is signed for by the domain, whose name says that it may', async () => {
    const domain = certificateOf('domain-signing-authority@a.example')
    const own = { 'a.example': [ownKey('*', domain)] }
    const opening = await opened(
      receiver(),
      await sealed(sender({ own }), letter(), { author: ALICE }),
    )
    assert.ok(opening.status === 'opened')
    assert.equal(opening.signature?.result.status, 'pass')
  })

  it('nothing is signed with a key that is superseded, revoked, retired or expired', async () => {
    const expired = certificateOf(ALICE, { days: -1 })
    for (const key of [
      ownKey('alice', alice, { superseded: '2026-11-22T00:00:00Z' }),
      ownKey('alice', alice, { revoked: '2026-11-22T00:00:00Z' }),
      ownKey('alice', alice, { retired: '2026-11-22T00:00:00Z' }),
      ownKey('alice', expired),
    ]) {
      const wire = await sealed(sender({ own: { 'a.example': [key] } }), letter(), {
        author: ALICE,
      })
      const opening = await opened(receiver(), wire)
      assert.equal(opening.status === 'opened' && opening.signature, undefined)
    }
  })
})

describe('which certificates mail is sealed for', () => {
  const offer = (known: SchemeWorld['known'], addresses: readonly string[], settings = {}) =>
    sender({ known: known ?? {} }).offer({ domain: 'b.example', addresses, trust: [], settings })

  it('those addresses that have one are named, and nobody is nothing', async () => {
    const known = { [BOB]: [{ certificate: bob }] }
    const found = await offer(known, [BOB, 'dave@b.example'])
    assert.deepEqual(found?.addresses, [BOB])
    assert.match(found?.description ?? '', /^smime compat, [0-9a-f]{16} \(operator\)$/)
    assert.equal(await offer(known, ['dave@b.example']), undefined)
    assert.equal(await offer({}, []), undefined)
    const sealing = found?.seal(['dave@b.example'], await readMessage([]), { author: undefined })
    assert.ok(sealing)
    await assert.rejects(collect(sealing.body), { code: 'smime/certificate' })
  })

  it('C26: a certificate under another authority, for another use or of somebody else is refused', async () => {
    const stranger = mailAuthority()
    const cases: Readonly<Record<string, ReturnType<typeof certificateOf>>> = {
      stranger: certify('/CN=bob', {
        issuer: stranger,
        extensions: [`subjectAltName=email:${BOB}`],
      }),
      'a server’s': certificateOf(BOB, {
        extensions: ['extendedKeyUsage=serverAuth', `subjectAltName=email:${BOB}`],
      }),
      'for signatures alone': certificateOf(BOB, {
        extensions: ['keyUsage=digitalSignature', `subjectAltName=email:${BOB}`],
      }),
      expired: certificateOf(BOB, { days: -1 }),
      'of mallory': mallory,
      weak: certificateOf(BOB, { key: 'rsa1024' }),
    }
    for (const [name, certificate] of Object.entries(cases)) {
      const known = { [BOB]: [{ certificate, source: 'wkd' as const }] }
      await assert.rejects(offer(known, [BOB]), { code: 'smime/certificate', statusClass: 5 }, name)
    }
  })

  it('one of several that can be used is taken, and with it those whose own cannot are left out', async () => {
    const expired = certificateOf(BOB, { days: -1 })
    const found = await offer({ [BOB]: [{ certificate: expired }, { certificate: bob }] }, [BOB])
    assert.match(found?.description ?? '', new RegExp(fingerprintOf(bob).slice(0, 16)))
    const both = { [BOB]: [{ certificate: bob }], 'carol@b.example': [{ certificate: expired }] }
    assert.deepEqual((await offer(both, [BOB, 'carol@b.example']))?.addresses, [BOB])
  })

  it('C19: what came with mail is used only where the table says so, and never counts as trusted', async () => {
    const known = { [BOB]: [{ certificate: bob, source: 'harvested' as const }] }
    assert.equal(await offer(known, [BOB]), undefined)
    const found = await offer(known, [BOB], { key_sources: ['harvested'] })
    assert.match(found?.untrusted ?? '', /came with mail/)
    const pinned = { [BOB]: [{ certificate: bob, untrusted: 'another one is pinned' }] }
    assert.equal((await offer(pinned, [BOB]))?.untrusted, 'another one is pinned')
  })

  it('a record of usage 3 alone vouches for its certificate', async () => {
    const own = certificateOf('else@else.example')
    const stranger = {
      [BOB]: [{ certificate: own, source: 'dnssec' as const, smimeaUsage: 3 as const }],
    }
    assert.deepEqual((await offer(stranger, [BOB]))?.addresses, [BOB])
    const chained = {
      [BOB]: [{ certificate: own, source: 'dnssec' as const, smimeaUsage: 1 as const }],
    }
    await assert.rejects(offer(chained, [BOB]), { code: 'smime/certificate' })
  })

  it('C25: revocation that nobody can tell now is a failure that may pass, where the line says hard', async () => {
    const modes: (string | undefined)[] = []
    const silent = {
      checkChain: trust.checkChain,
      checkRecipient: async (...args: Parameters<typeof trust.checkRecipient>) => {
        modes.push(args[2].revocation)
        if (args[2].revocation === 'hard') throw new TempError('smime/revocation', 'no answer')
        return trust.checkRecipient(...args)
      },
    }
    const known = { [BOB]: [{ certificate: bob }] }
    const scheme = sender({ known, trust: silent })
    const ask = (settings: object) =>
      scheme.offer({ domain: 'b.example', addresses: [BOB], trust: [], settings: { ...settings } })
    await assert.rejects(ask({ revocation: 'hard' }), { code: 'smime/revocation', statusClass: 4 })
    assert.ok(await ask({}))
    assert.deepEqual(modes, ['hard', undefined])
  })
})

describe('whom a message is opened for', () => {
  const wireFor = (
    content: string,
    recipients: readonly (typeof bob)[],
    fields: Readonly<Record<string, string>> = {},
    profile: Profile = 'modern',
  ): string =>
    asMail(
      sealContent(
        bytesOf(content),
        recipients.map((one) => one.der),
        profile,
      ),
      fields,
    )
  const ENTITY = 'Content-Type: text/plain\r\n\r\nthe secret\r\n'
  const NAMING = (to: string): string =>
    `From: ${ALICE}\r\nTo: ${to}\r\nSubject: s\r\nContent-Type: text/plain; hp="cipher"\r\n\r\nthe secret\r\n`

  it('C7: a ciphertext for bob that is sent to carol stays closed, with user keys and with a domain key', async () => {
    const carols = ['carol@b.example']
    assert.equal(
      await textOf(await opened(receiver(), wireFor(ENTITY, [bob]), carols)),
      'closed: sealed for others',
    )
    const domain = wireFor(NAMING(BOB), [site])
    assert.match(
      await textOf(await opened(receiver(), domain, carols)),
      /^closed: it does not name/,
    )
    const both = await opened(receiver(), domain, [BOB, ...carols])
    assert.ok(both.status === 'opened')
    assert.deepEqual(both.addresses, [BOB])
  })

  it('C7: with a domain key what names nobody inside opens only where the operator says so', async () => {
    const wire = wireFor(ENTITY, [site])
    assert.match(await textOf(await opened(receiver(), wire)), /^closed: it does not name/)
    const opening = await opened(receiver({ opensUnbound: true }), wire)
    assert.match(await textOf(opening), /the secret/)
  })

  it('C7: keys of other domains than the envelope’s are not used', async () => {
    const own = { 'c.example': [ownKey('mallory', mallory), ownKey('*', bob)] }
    assert.equal(
      await textOf(await opened(receiver({ own }), wireFor(ENTITY, [bob]))),
      'closed: sealed for others',
    )
  })

  it('C7: a recipient that is only named, and for whom something else was sealed, gets nothing', async () => {
    // Bob's own, with the content key of another message in it: what somebody could do to read along with him.
    const mine = sealContent(bytesOf(ENTITY), [carol.der, bob.der], 'modern')
    const wire = asMail(withoutKeyOf(mine, 1))
    const opening = await opened(receiver(), wire, ['carol@b.example', BOB])
    assert.ok(opening.status === 'opened', JSON.stringify(opening))
    assert.equal(opening.addresses.length, 1)
  })

  it('C25: an expired, superseded or revoked key of ours still opens; a retired one does not', async () => {
    const old = certificateOf(BOB, { days: -1 })
    const wire = wireFor(ENTITY, [old])
    for (const more of [
      {},
      { superseded: '2026-01-01T00:00:00Z' },
      { revoked: '2026-01-01T00:00:00Z' },
    ]) {
      const own = { 'b.example': [ownKey('bob', old, more)] }
      assert.match(await textOf(await opened(receiver({ own }), wire)), /the secret/)
    }
    const own = { 'b.example': [ownKey('bob', old, { retired: '2026-01-01T00:00:00Z' })] }
    assert.match(await textOf(await opened(receiver({ own }), wire)), /^closed/)
  })

  it('a key that an operator has just put into the vault is found', async () => {
    const latest = { 'b.example': [ownKey('bob', bob)] }
    const opening = await opened(receiver({ own: {}, latest }), wireFor(ENTITY, [bob]))
    assert.match(await textOf(opening), /the secret/)
  })

  it('C8: the name of the content key is the same for every recipient of it, and another one for each message', async () => {
    const idOf = async (wire: string, to: string): Promise<string | undefined> => {
      const opening = await opened(receiver(), wire, [to])
      return opening.status === 'opened' ? opening.sealedKeyId : undefined
    }
    const wire = wireFor(ENTITY, [bob, carol])
    const [first, second] = [await idOf(wire, BOB), await idOf(wire, 'carol@b.example')]
    assert.ok(first)
    assert.equal(first, second)
    assert.notEqual(await idOf(wireFor(ENTITY, [bob, carol]), BOB), first)
  })

  it('p7m that arrives as a file, without its type, or in no encoding is known by its first octets', async () => {
    const cms = sealContent(bytesOf(ENTITY), [bob.der], 'modern')
    const octetStream = { 'Content-Type': 'application/octet-stream; name="smime.p7m"' }
    const byDisposition = {
      'Content-Type': 'application/octet-stream',
      'Content-Disposition': 'attachment; filename=smime.p7m',
    }
    const bare = { 'Content-Type': 'application/x-pkcs7-mime' }
    for (const fields of [octetStream, byDisposition, bare]) {
      const wire = asMail(cms, fields)
      const { fields: read, body } = await readMessage([bytesOf(wire)])
      for await (const start of body)
        assert.ok(receiver().detect(read, start), JSON.stringify(fields))
      assert.match(await textOf(await opened(receiver(), wire)), /the secret/)
    }
    const [header = ''] = asMail(cms).replace('base64', 'binary').split('\r\n\r\n')
    const binary = Buffer.concat([Buffer.from(`${header}\r\n\r\n`), cms])
    assert.match(await textOf(await opened(receiver(), binary)), /the secret/)
    const file = await readMessage([bytesOf(asMail(Buffer.from('a text'), octetStream))])
    for await (const start of file.body) assert.equal(receiver().detect(file.fields, start), false)
  })

  it('C2: without a good signature of a trusted signer, CBC does not prove that nobody has altered it', async () => {
    const integrityOf = async (content: string, profile: Profile): Promise<string | undefined> => {
      const opening = await opened(receiver(), wireFor(content, [bob], {}, profile))
      return opening.status === 'opened' ? opening.integrity : opening.reason
    }
    const stranger = mailAuthority()
    const untrusted = certificateOf(ALICE)
    assert.equal(await integrityOf(ENTITY, 'compat'), 'unproven')
    assert.equal(await integrityOf(ENTITY, 'modern'), 'ok')
    assert.equal(await integrityOf(signedBy(alice, ENTITY), 'compat'), 'ok')
    const damaged = signedBy(alice, ENTITY).replace('the secret', 'the sEcret')
    assert.equal(await integrityOf(damaged, 'compat'), 'unproven')
    const strict = receiver({ trust: trusting(stranger) })
    const opening = await opened(strict, wireFor(signedBy(untrusted, ENTITY), [bob], {}, 'compat'))
    assert.equal(opening.status === 'opened' && opening.integrity, 'unproven')
    assert.equal(opening.status === 'opened' && opening.signature?.result.status, 'neutral')
  })

  it('C14 C15: the signature inside may be opaque, and what it covers is what is given out', async () => {
    const key = signingKey(alice, alice)
    const cms = signData(bytesOf(NAMING(BOB)), key, { form: 'opaque', at: new Date(clock.nowMs()) })
    const base64 = Buffer.from(cms).toString('base64')
    const inner = `Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\nSubject: outside of the signature\r\n\r\n${base64}\r\n`
    const opening = await opened(receiver(), wireFor(inner, [bob]))
    assert.ok(opening.status === 'opened')
    assert.deepEqual(opening.signature, PASS)
    const text = await textOf(opening)
    assert.match(text, /^Subject: s\r$/m)
    assert.doesNotMatch(text, /outside of the signature/)
  })

  it('C14: a signer who is not the one author in From is no pass', async () => {
    for (const content of [
      signedBy(mallory, NAMING(BOB)),
      signedBy(alice, NAMING(BOB).replace(ALICE, `${ALICE}, mallory@c.example`)),
    ]) {
      const opening = await opened(receiver(), wireFor(content, [bob]))
      assert.equal(opening.status === 'opened' && opening.signature?.result.status, 'neutral')
    }
  })

  it('C24: triple DES opens only where the line of the author’s domain says legacy, and is marked', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'hisho-smime-3des-'))
    try {
      writeFileSync(join(folder, 'bob.pem'), bobRsa.certificate)
      const cms = execFileSync(
        'openssl',
        ['cms', '-encrypt', '-binary', '-des3', '-outform', 'DER', 'bob.pem'],
        {
          cwd: folder,
          input: ENTITY,
        },
      )
      const own = { 'b.example': [ownKey('bob', bobRsa)] }
      assert.match(
        await textOf(await opened(receiver({ own }), asMail(cms))),
        /^closed: crypto\/unsupported: CMS: des-ede3-cbc is weak/,
      )
      const opening = await opened(receiver({ own, settings: { legacy: true } }), asMail(cms))
      assert.ok(opening.status === 'opened')
      assert.match(opening.description, /cipher=des-ede3-cbc; transport=rsa-pkcs1; strength=weak$/)
      assert.equal(opening.integrity, 'unproven')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('C27: what is compressed inside is taken out, within limits', async () => {
    const compressed = (content: Uint8Array): string => {
      const cms = sequence(
        objectIdentifier(OID.compressedData),
        element(
          0xa0,
          sequence(
            integer(0),
            sequence(objectIdentifier(OID.zlib)),
            sequence(objectIdentifier(OID.data), element(0xa0, octetString(deflateSync(content)))),
          ),
        ),
      )
      const base64 = Buffer.from(cms).toString('base64')
      return `Content-Type: application/pkcs7-mime; smime-type=compressed-data; name=smime.p7z\r\nContent-Transfer-Encoding: base64\r\n\r\n${base64}\r\n`
    }
    const signed = signedBy(alice, ENTITY)
    const opening = await opened(receiver(), wireFor(compressed(bytesOf(signed)), [bob]))
    assert.match(await textOf(opening), /the secret/)
    assert.equal(opening.status === 'opened' && opening.signature?.result.status, 'pass')
    const bomb = compressed(Buffer.concat([Buffer.from(ENTITY), Buffer.alloc(20_000_000)]))
    assert.match(
      await textOf(await opened(receiver(), wireFor(bomb, [bob]))),
      /^closed: mail\/malformed: CMS: compressed, and damaged or beyond/,
    )
  })

  it('C5 C10: whatever is damaged has one reason', async () => {
    const modern = Buffer.from(sealContent(bytesOf(ENTITY), [bob.der], 'modern'))
    const compat = Buffer.from(sealContent(bytesOf(ENTITY), [bobRsa.der], 'compat'))
    const own = { 'b.example': [ownKey('bob', bob), ownKey('bob', bobRsa, { id: 'rsa' })] }
    for (const [cms, at] of [
      [modern, modern.length - 1],
      [modern, modern.length - 30],
      [compat, compat.length - 17],
      [compat, compat.indexOf(Buffer.from('04820100', 'hex')) + 100],
    ] as const) {
      const copy = Buffer.from(cms)
      copy[at]! ^= 0x80
      const opening = await opened(receiver({ own }), asMail(copy))
      const text = await textOf(opening)
      // A key that nobody knows gives a good padding once in 256 times: noise, and nothing proves that it is not.
      if (cms === modern || opening.status === 'closed') assert.equal(text, CLOSED)
      else assert.equal(opening.integrity, 'unproven')
      assert.doesNotMatch(text, /the secret/)
    }
  })

  it('whatever stands in the body, it is closed and throws nothing', async () => {
    const scheme = receiver()
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 80 }), async (bytes) => {
        assert.equal((await opened(scheme, asMail(bytes))).status, 'closed')
      }),
      { numRuns: 40 },
    )
    assert.equal(
      (await opened(scheme, asMail(Buffer.alloc(0)).replace('base64\r\n\r\n', 'base64\r\n\r\n!')))
        .status,
      'closed',
    )
  })
})

describe('the worker', () => {
  it('C28: when it is lost, nothing is opened, sealed or verified, and all of it may pass', async () => {
    const wire = await sealed(sender(), letter())
    const lost = createSmimePool({ size: 1, queueLimit: 1, jobTimeoutMs: 1 })
    const own = { 'b.example': [ownKey('bob', bob)] }
    const scheme = schemeOf({ pool: lost, known: { [BOB]: [{ certificate: bob }] }, own })
    await assert.rejects(opened(scheme, wire), { code: 'crypto/worker', statusClass: 4 })
    await assert.rejects(sealed(scheme, letter()), { code: 'crypto/worker', statusClass: 4 })
    const signed = await readMessage([bytesOf(signedBy(alice, letter()))])
    assert.equal((await scheme.verify?.(signed))?.result.status, 'temperror')
    await lost.close()
  })
})

describe('mail that is signed and not encrypted', () => {
  const ENTITY = 'Content-Type: text/plain\r\n\r\nto all\r\n'
  const header = `From: ${ALICE}\r\nTo: ${BOB}\r\nMIME-Version: 1.0\r\n`
  const verify = async (
    text: string,
    more: Partial<SchemeWorld> = {},
  ): Promise<ContentSignature['result'] | 'not signed'> => {
    const scheme = receiver(more)
    const { fields, body, separator } = await readMessage([bytesOf(text)])
    const pieces: Uint8Array[] = []
    for await (const piece of body) pieces.push(piece)
    if (!scheme.detectSigned?.(fields, Buffer.concat(pieces))) return 'not signed'
    async function* again() {
      yield* pieces
    }
    const found = await scheme.verify?.({ fields, separator, body: again() })
    assert.ok(found)
    return found.result
  }
  const opaque = (): string => {
    const cms = signData(bytesOf(ENTITY), signingKey(alice, alice), {
      form: 'opaque',
      at: new Date(clock.nowMs()),
    })
    return `${header}Content-Type: application/pkcs7-mime; smime-type=signed-data\r\nContent-Transfer-Encoding: base64\r\n\r\n${Buffer.from(cms).toString('base64')}\r\n`
  }

  it('is verified in both forms, and its certificate remembered', async () => {
    for (const text of [header + signedBy(alice, ENTITY), opaque()]) {
      const harvested: { address: string; bytes: Uint8Array }[] = []
      assert.deepEqual(await verify(text, { harvested }), PASS.result)
      assert.deepEqual(
        harvested.map(({ address }) => address),
        [ALICE],
      )
      assert.deepEqual(harvested[0]?.bytes, alice.der)
    }
  })

  it('C14: altered, by somebody else, or of nobody who is known: no pass, and nothing is remembered', async () => {
    const harvested: { address: string; bytes: Uint8Array }[] = []
    const good = header + signedBy(alice, ENTITY)
    const status = async (text: string, more: Partial<SchemeWorld> = {}): Promise<string> => {
      const found = await verify(text, { harvested, ...more })
      return typeof found === 'string' ? found : found.status
    }
    assert.equal(await status(good.replace('to all', 'to none')), 'fail')
    assert.equal(await status(header + signedBy(mallory, ENTITY)), 'neutral')
    assert.equal(await status(good, { trust: trusting(mailAuthority()) }), 'neutral')
    assert.equal(await status(good.replace('\r\n--=_', '\r\n-=_')), 'permerror')
    assert.equal(await status(`${header}Content-Type: text/plain\r\n\r\nx`), 'not signed')
    assert.deepEqual(harvested, [])
  })
})

describe('settings', () => {
  it('are checked', () => {
    const problem = (settings: object): string | undefined =>
      SMIME.problemWith?.({ ...settings })?.key
    assert.equal(problem({}), undefined)
    assert.equal(
      problem({ smime: 'modern', key_sources: ['dnssec'], revocation: 'hard', legacy: true }),
      undefined,
    )
    assert.equal(problem({ smime: 'new' }), 'smime')
    assert.equal(problem({ key_sources: [] }), 'key_sources')
    assert.equal(problem({ revocation: true }), 'revocation')
    assert.equal(problem({ legacy: 'yes' }), 'legacy')
  })
})

function signedBy(who: typeof alice, entity: string): string {
  const cms = signData(bytesOf(entity), signingKey(who, who), {
    form: 'detached',
    at: new Date(clock.nowMs()),
  })
  const { before, after } = aroundSigned({ cms, digest: 'sha256' }, '=_boundary')
  return `${Buffer.from(before).toString()}${entity}${Buffer.from(after).toString()}`
}

/** With one octet of the encrypted key of one recipient (EC) changed. */
function withoutKeyOf(cms: Uint8Array, which: number): Uint8Array {
  const copy = Buffer.from(cms)
  let at = -1
  for (let found = 0; found <= which; found++) at = copy.indexOf(Buffer.from('0428', 'hex'), at + 1)
  copy[at + 10]! ^= 1
  return copy
}
