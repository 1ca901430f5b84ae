import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import fc from 'fast-check'
import { normalizeAddress } from '../../lib/ibe/identity.ts'
import { parseFields } from '../../lib/mail/header.ts'
import type { ContentSignature } from '../../lib/mail/scheme.ts'
import { judgeSigner } from '../../lib/smime/signed/judge.ts'
import { signData } from '../../lib/smime/signed/sign.ts'
import { verifySigned, type SignedOutcome } from '../../lib/smime/signed/verify.ts'
import { TAG, readElement, readElements } from '../../lib/x509/der.ts'
import { element, objectIdentifier, sequence } from '../../lib/x509/der-writer.ts'
import type { Certified } from '../support/certificates.ts'
import {
  mailAuthority,
  mailCertificate,
  newMailKey,
  signingKey,
  trusting,
  type MailCertificateOptions,
} from '../support/mail-certificates.ts'

const CONTENT = Buffer.from('Content-Type: text/plain\r\n\r\nWe meet at noon.\r\n')
/** Behind the moment in which the certificates are made. */
const AT = new Date(Date.now() + 600_000)
const root = mailAuthority()
const trust = trusting(root)
const alice = mailCertificate(root)

const folder = mkdtempSync(join(tmpdir(), 'hisho-signed-'))
after(() => rmSync(folder, { recursive: true, force: true }))

function signed(form: 'opaque' | 'detached', who = alice, at = AT): Uint8Array {
  return signData(CONTENT, signingKey(who, who, root), { form, at })
}

/** By openssl, with whatever options. */
function opensslSigned(who: Certified, ...options: readonly string[]): Uint8Array {
  const file = (name: string, bytes: Uint8Array | string): string => {
    writeFileSync(join(folder, name), bytes)
    return name
  }
  const pem = file('signer', who.certificate + who.privateKey)
  const args = ['cms', '-sign', '-binary', '-in', file('content', CONTENT), '-signer', pem]
  execFileSync('openssl', [...args, '-outform', 'DER', '-out', 'signed', ...options], {
    cwd: folder,
    stdio: 'pipe',
  })
  return readFileSync(join(folder, 'signed'))
}

const verify = (cms: Uint8Array, detached?: Uint8Array): Promise<SignedOutcome> =>
  verifySigned(cms, detached, trust, { at: AT })

function reasonOf(outcome: SignedOutcome): string {
  return outcome.status === 'good' ? 'good' : `${outcome.status}: ${outcome.reason}`
}

describe('SignedData of ours', () => {
  for (const key of ['rsa2048', 'rsa3072', 'p256', 'p384', 'ed25519'] as const)
    it(`is good, with a key ${key}, opaque and detached`, async () => {
      const who = mailCertificate(root, { key })
      const opaque = await verify(signed('opaque', who))
      assert.equal(reasonOf(opaque), 'good')
      assert.ok(opaque.status === 'good')
      assert.deepEqual(Buffer.from(opaque.content ?? []), CONTENT)
      assert.deepEqual(opaque.signers[0]?.addresses, ['alice@example.com'])
      assert.equal(opaque.signers[0]?.signedAtMs, Math.floor(AT.getTime() / 1000) * 1000)
      const detached = await verify(signed('detached', who), CONTENT)
      assert.equal(reasonOf(detached), 'good')
      assert.ok(detached.status === 'good' && detached.content === undefined)
    })

  it('is not made with a key that is not of its certificate', () => {
    const other = mailCertificate(root)
    assert.throws(() => signData(CONTENT, signingKey(other, alice), { form: 'opaque', at: AT }), {
      code: 'smime/certificate',
    })
  })

  it('C14: with one bit changed is never good, and its content never another', async () => {
    const cms = signed('opaque')
    // Of some bits nothing depends on: those of certificates that are not needed, and of unsigned names.
    const accepted: number[] = []
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: cms.length * 8 - 1 }), async (bit) => {
        const copy = Uint8Array.from(cms)
        copy[bit >> 3]! ^= 1 << (bit & 7)
        const outcome = await verify(copy)
        if (outcome.status !== 'good') return
        accepted.push(bit)
        assert.deepEqual(Buffer.from(outcome.content ?? []), CONTENT)
        assert.deepEqual(outcome.signers[0]?.certificate, alice.der)
      }),
      { numRuns: 300 },
    )
    assert.ok(accepted.length < 15, `${accepted.length} of 300 changes were not seen`)
  })

  it('is bad over any other content', async () => {
    const cms = signed('detached')
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: CONTENT.length * 8 - 1 }), async (bit) => {
        const copy = Uint8Array.from(CONTENT)
        copy[bit >> 3]! ^= 1 << (bit & 7)
        assert.equal((await verify(cms, copy)).status, 'bad')
      }),
      { numRuns: 50 },
    )
  })

  it('is bad, and nothing is thrown, whatever the bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        assert.equal((await verify(bytes)).status, 'bad')
      }),
    )
  })
})

/** SignedData with some of its members changed. */
function remade(
  cms: Uint8Array,
  change: (members: Uint8Array[]) => readonly Uint8Array[],
): Uint8Array {
  const [type, wrapper] = readElements(readElement(cms).content)
  const members = readElements(readElement(wrapper!.content).content).map(({ bytes }) => bytes)
  return sequence(type!.bytes, element(0xa0, sequence(...change(members))))
}

describe('C14: a signature', () => {
  it('that nobody has made is none', async () => {
    const none = remade(signed('opaque'), (members) => [...members.slice(0, -1), element(TAG.set)])
    assert.equal(reasonOf(await verify(none)), 'bad: nobody has signed it')
  })

  it('that is detached and has content too is bad', async () => {
    assert.equal(reasonOf(await verify(signed('opaque'), CONTENT)), 'bad: it has the content twice')
    assert.equal(reasonOf(await verify(signed('detached'))), 'bad: its content is missing')
  })

  it('of two signers is good only if both are', async () => {
    const bob = mailCertificate(root, { address: 'bob@example.com', key: 'rsa2048' })
    const mallory = mailCertificate(mailAuthority(), { address: 'mallory@example.com' })
    const lastOf = (cms: Uint8Array): Uint8Array =>
      readElements(readElement(readElements(readElement(cms).content)[1]!.content).content).at(-1)!
        .content
    const together = (other: Certified, info: Uint8Array): Uint8Array =>
      remade(signed('opaque'), ([version, digests, content, certificates, infos]) => [
        version!,
        digests!,
        content!,
        element(0xa0, readElement(certificates!).content, other.der),
        element(TAG.set, readElement(infos!).content, info),
      ])
    const both = await verify(together(bob, lastOf(signed('opaque', bob))))
    assert.equal(reasonOf(both), 'good')
    assert.ok(both.status === 'good' && both.signers.length === 2)
    const damaged = Uint8Array.from(lastOf(signed('opaque', bob)))
    damaged[damaged.length - 1]! ^= 1
    assert.equal(reasonOf(await verify(together(bob, damaged))), 'bad: a signature does not fit')
    assert.equal(
      reasonOf(await verify(together(mallory, lastOf(signed('opaque', mallory))))),
      'untrusted: no trusted authority vouches for it',
    )
  })

  it('over attributes that are taken for content is bad', async () => {
    const attributesOf = (info: Uint8Array): Uint8Array =>
      element(TAG.set, readElements(info).find(({ tag }) => tag === 0xa0)!.content)
    let swapped: Uint8Array = new Uint8Array()
    const cms = remade(signed('detached'), (members) => {
      const info = readElement(readElement(members.at(-1)!).content)
      swapped = attributesOf(info.content)
      const bare = readElements(info.content).filter(({ tag }) => tag !== 0xa0)
      return [
        ...members.slice(0, -1),
        element(TAG.set, sequence(...bare.map(({ bytes }) => bytes))),
      ]
    })
    assert.equal(
      reasonOf(await verify(cms, swapped)),
      'bad: a signature without attributes is over some',
    )
  })

  it('over anything but data is bad', async () => {
    const receipt = remade(signed('detached'), (members) =>
      members.with(2, sequence(objectIdentifier('1.2.840.113549.1.9.16.1.1'))),
    )
    assert.equal((await verify(receipt, CONTENT)).status, 'bad')
  })

  it('without its certificate, or with two of one name, is bad', async () => {
    const bare = remade(signed('opaque'), (members) => members.filter((_, at) => at !== 3))
    assert.equal(reasonOf(await verify(bare)), 'bad: a signer’s certificate is missing')
    const twin = Uint8Array.from(alice.der)
    twin[twin.length - 1]! ^= 1
    const twins = remade(signed('opaque'), (members) =>
      members.with(3, element(0xa0, alice.der, twin)),
    )
    assert.equal(reasonOf(await verify(twins)), 'bad: a signer’s certificate is there twice')
  })

  it('with more certificates or signers than any mail needs is bad', async () => {
    const [certificates, signers] = [201, 21].map((count, which) =>
      remade(signed('opaque'), (members) => {
        const at = which === 0 ? 3 : members.length - 1
        const { tag, content } = readElement(members[at]!)
        const [first] = readElements(content)
        return members.with(at, element(tag, ...Array(count).fill(first!.bytes)))
      }),
    )
    assert.match(reasonOf(await verify(certificates!)), /^bad: .*200 certificates/)
    assert.match(reasonOf(await verify(signers!)), /^bad: .*20 signers/)
  })

  it('made in the future, or while the certificate was not valid, is not trusted', async () => {
    const at = (ms: number): Promise<SignedOutcome> =>
      verify(signed('opaque', alice, new Date(AT.getTime() + ms)))
    assert.equal(reasonOf(await at(3_600_000)), 'good')
    assert.match(reasonOf(await at(2 * 86_400_000)), /^untrusted: .*in the future/)
    assert.match(reasonOf(await at(-10 * 86_400_000)), /^untrusted: .*not valid/)
  })

  it('by openssl is good, in pieces of no stated length too', async () => {
    for (const options of [['-nodetach'], ['-nodetach', '-stream'], ['-nodetach', '-keyid']])
      assert.equal(reasonOf(await verify(opensslSigned(alice, ...options))), 'good', options.join())
    const bare = ['-nodetach', '-noattr']
    assert.equal(reasonOf(await verify(opensslSigned(alice, ...bare))), 'good')
    const rsa = mailCertificate(root, { key: 'rsa2048' })
    const pss = ['-nodetach', '-keyopt', 'rsa_padding_mode:pss', '-md', 'sha384']
    assert.equal(reasonOf(await verify(opensslSigned(rsa, ...pss))), 'good')
    const cades = ['-nodetach', '-cades']
    assert.equal(reasonOf(await verify(opensslSigned(rsa, ...cades))), 'good')
  })

  it('with MD5 or SHA-1 is bad', async () => {
    const rsa = mailCertificate(root, { key: 'rsa2048' })
    for (const md of ['md5', 'sha1', 'sha224'])
      assert.match(
        reasonOf(await verify(opensslSigned(rsa, '-nodetach', '-md', md))),
        /^bad: .*too weak/,
        md,
      )
  })
})

describe('C14 C26: a signer', () => {
  const outcomeFor = (options: MailCertificateOptions): Promise<SignedOutcome> =>
    verify(signed('opaque', mailCertificate(root, options)))

  for (const [title, options, expect] of [
    ['with a certificate of a server', ext('extendedKeyUsage=serverAuth'), /not for signing mail/],
    ['whose key only encrypts', ext('keyUsage=keyEncipherment'), /not for signing mail/],
    ['whose key is for contracts only', ext('keyUsage=nonRepudiation'), /^good$/],
    ['without any restriction', ext('subjectKeyIdentifier=hash'), /^good$/],
    ['with an unknown critical extension', ext('1.2.3.4=critical,ASN1:NULL'), /critical extension/],
    ['whose certificate has expired', { days: -1 }, /expired|not valid/],
    ['with an RSA key of 1024 bits', { key: 'rsa1024' }, /^bad/],
    ['with a key on a strange curve', { key: 'secp256k1' }, /^bad/],
  ] as const)
    it(title, async () => assert.match(reasonOf(await outcomeFor(options)), expect))

  function ext(...extensions: readonly string[]): MailCertificateOptions {
    return { extensions }
  }
})

describe('C13 C14: a verified signature', () => {
  const judged = async (
    from: string,
    who: Certified = alice,
  ): Promise<ContentSignature['result']> =>
    judgeSigner(
      await verify(signed('opaque', who)),
      parseFields(Buffer.from(from)),
      normalizeAddress,
    ).result
  const status = async (from: string, who?: Certified): Promise<string> =>
    (await judged(from, who)).status

  it('passes for the one author in From alone', async () => {
    assert.deepEqual(await judged('From: Alice <Alice@EXAMPLE.com>\r\n'), {
      status: 'pass',
      domain: 'example.com',
      identity: 'alice@example.com',
    })
    assert.equal(await status('From: bob@example.com\r\n'), 'neutral')
    assert.equal(await status('From: alice@example.org\r\n'), 'neutral')
    assert.equal(await status('From: alice@example.com, bob@example.com\r\n'), 'neutral')
    assert.equal(await status('From: alice@example.com\r\nFrom: alice@example.com\r\n'), 'neutral')
    assert.equal(await status('Sender: alice@example.com\r\n'), 'neutral')
    assert.equal(
      await status(
        'From: bob@example.com\r\nSender: alice@example.com\r\nReply-To: alice@example.com\r\n',
      ),
      'neutral',
    )
    assert.equal(await status('From: "alice@example.com" <bob@example.com>\r\n'), 'neutral')
  })

  it('C26: finds the address among many names, and in the subject where there are no others', async () => {
    const names = Array.from({ length: 117 }, (_, at) => `email:user${at}@example.com`)
    const many = mailCertificate(root, { extensions: [`subjectAltName=${names.join(',')}`] })
    assert.equal(await status('From: user0@example.com\r\n', many), 'pass')
    assert.equal(await status('From: user116@example.com\r\n', many), 'pass')
    assert.equal(await status('From: user117@example.com\r\n', many), 'neutral')
    const subject = '/CN=x/emailAddress=alice@example.com'
    const old = mailCertificate(root, { subject, extensions: ['keyUsage=digitalSignature'] })
    assert.equal(await status('From: alice@example.com\r\n', old), 'pass')
    const both = mailCertificate(root, { subject, address: 'bob@example.com' })
    assert.equal(await status('From: alice@example.com\r\n', both), 'neutral')
  })

  it('may be of the whole domain, as RFC 3183 says', async () => {
    const whole = mailCertificate(root, { address: 'domain-signing-authority@example.com' })
    assert.deepEqual(await judged('From: alice@example.com\r\n', whole), {
      status: 'pass',
      domain: 'example.com',
      identity: 'domain-signing-authority@example.com',
    })
    assert.equal(await status('From: alice@sub.example.com\r\n', whole), 'neutral')
  })

  it('does not pass for a signer whom nobody trusts, and fails where it is bad', async () => {
    const mallory = mailCertificate(mailAuthority(), { privateKey: newMailKey('p256') })
    assert.equal(await status('From: alice@example.com\r\n', mallory), 'neutral')
    const fields = parseFields(Buffer.from('From: alice@example.com\r\n'))
    const bad = judgeSigner(
      await verify(signed('detached'), Buffer.from('x')),
      fields,
      normalizeAddress,
    )
    assert.equal(bad.result.status, 'fail')
  })
})
