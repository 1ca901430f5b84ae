import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import fc from 'fast-check'
import { SecretBytes } from '../../lib/crypto/secret-bytes.ts'
import { PermError } from '../../lib/errors.ts'
import {
  createAuthority,
  issueCertificate,
  publishList,
  revokeCertificate,
  type Authority,
  type IssuedCertificate,
} from '../../lib/smime/ca/authority.ts'
import {
  generateMailKey,
  MAIL_KEY_TYPES,
  type MailKey,
  type MailKeyType,
} from '../../lib/smime/ca/mail-key.ts'
import { formatPkcs12, parsePkcs12 } from '../../lib/smime/ca/pkcs12.ts'
import { readRequest } from '../../lib/smime/ca/request.ts'
import { formatRegister, parseRegister } from '../../lib/smime/ca/register.ts'
import { readLink } from '../../lib/smime/trust/chain.ts'
import { readRevocationList } from '../../lib/smime/trust/revocation-list.ts'
import { createTrust } from '../../lib/smime/trust/trust.ts'
import { formatPem } from '../../lib/x509/pem.ts'

const NOW = Date.now()
const LIST_URL = 'http://authority.a.example/ca.crl'

const folder = mkdtempSync(join(tmpdir(), 'hisho-ca-'))
after(() => rmSync(folder, { recursive: true, force: true }))

async function newAuthority(type: MailKeyType = 'p256'): Promise<Authority> {
  const options = { name: 'Mail CA', domains: ['a.example'], days: 3650, nowMs: NOW }
  return createAuthority(await generateMailKey(type), { ...options, listUrl: LIST_URL })
}

function issueTo(
  authority: Authority,
  key: MailKey,
  user = 'alice',
  days = 100,
): IssuedCertificate {
  return issueCertificate(authority, {
    domain: 'a.example',
    user,
    days,
    nowMs: NOW,
    publicKey: key.publicKey,
    algorithm: key.privateKey.asymmetricKeyType === 'rsa' ? 'rsa' : 'ec',
  })
}

function put(name: string, label: string, der: Uint8Array): string {
  writeFileSync(join(folder, name), formatPem(label, der))
  return name
}

/** What openssl says, of what it prints on both. */
function openssl(...args: readonly string[]): string {
  try {
    return execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' }).toString()
  } catch (error) {
    return String((error as { stderr?: Buffer }).stderr)
  }
}

describe('our own CA', () => {
  for (const type of MAIL_KEY_TYPES)
    it(`issues what openssl and we take, and revokes it: ${type}`, async () => {
      const authority = await newAuthority(type)
      const key = await generateMailKey(type)
      const { certificate, entry, register } = issueTo(authority, key)
      const root = put('root', 'CERTIFICATE', authority.certificate)
      const own = put('own', 'CERTIFICATE', certificate)
      const verify = ['verify', '-x509_strict', '-purpose', 'smimesign', '-CAfile', root]
      assert.equal(openssl(...verify, own).trim(), 'own: OK')
      const trust = createTrust({
        anchors: [authority.certificate],
        revocationMode: 'off',
        revocation: { check: () => Promise.reject(new Error('not asked')) },
      })
      const at = new Date(NOW)
      const asked = { at, address: 'alice@a.example' }
      assert.equal((await trust.checkRecipient(certificate, [], asked)).status, 'trusted')
      const signing = await trust.checkChain(certificate, [], { at, use: 'signing' })
      assert.equal(signing.status, 'trusted')
      const list = (from: Authority): { readonly text: string; readonly authority: Authority } => {
        const published = publishList(from, { days: 7, nowMs: NOW })
        const file = put('list', 'X509 CRL', published.list)
        assert.match(openssl('crl', '-in', file, '-CAfile', root, '-noout', '-verify'), /^$|OK/)
        const text = openssl(...verify, '-crl_check', '-CRLfile', file, own)
        const { revoked } = readRevocationList(published.list, readLink(authority.certificate))
        assert.equal(revoked.get(entry.serialNumber) !== undefined, /revoked/.test(text))
        return { text, authority: { ...from, register: published.register } }
      }
      const before = list({ ...authority, register })
      assert.equal(before.text.trim(), 'own: OK')
      const after = revokeCertificate(before.authority.register, entry.id, {
        reason: 'keyCompromise',
        nowMs: NOW,
      })
      const later = list({ ...authority, register: after })
      assert.match(later.text, /certificate revoked/)
      assert.equal(later.authority.register.listNumber, before.authority.register.listNumber + 1)
      assert.match(openssl('crl', '-in', 'list', '-noout', '-text'), /Key Compromise/)
    })

  describe('reads a request of somebody else', () => {
    const request = (name: string, ...newkey: readonly string[]): Buffer => {
      const asked = ['-subj', '/CN=mallory@b.example', '-addext', 'basicConstraints=CA:true']
      const files = ['-keyout', `${name}.key`, '-out', name, '-outform', 'DER']
      openssl('req', '-new', '-nodes', ...newkey, ...asked, ...files)
      return readFileSync(join(folder, name))
    }
    const p256 = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'] as const

    for (const [name, newkey] of [
      ['rsa', ['-newkey', 'rsa:2048']],
      ['rsa-pss', ['-newkey', 'rsa:2048', '-sigopt', 'rsa_padding_mode:pss']],
      ['ec', p256],
      ['ec', ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-sha384']],
    ] as const)
      it(`${newkey.join(' ')}: takes its key, and no word of it`, async () => {
        const authority = await newAuthority()
        const der = request(`${name}.csr`, ...newkey)
        const asked = readRequest(der)
        const pem = formatPem('NEW CERTIFICATE REQUEST', der)
        assert.deepEqual(readRequest(Buffer.from(`Here it is:\n${pem}`)), asked)
        const { certificate } = issueCertificate(authority, {
          ...asked,
          domain: 'a.example',
          user: 'alice',
          days: 1,
          nowMs: NOW,
        })
        put('root', 'CERTIFICATE', authority.certificate)
        put('signed', 'CERTIFICATE', certificate)
        const verify = ['verify', '-x509_strict', '-purpose', 'smimesign', '-CAfile', 'root']
        assert.equal(openssl(...verify, 'signed').trim(), 'signed: OK')
        const text = openssl('x509', '-in', 'signed', '-noout', '-text')
        assert.doesNotMatch(text, /mallory|CA:TRUE/)
        assert.match(text, /email:alice@a\.example/)
        const published = openssl('pkey', '-in', `${name}.csr.key`, '-pubout')
        assert.equal(openssl('x509', '-in', 'signed', '-noout', '-pubkey'), published)
      })

    it('and refuses a weak key, one that cannot be encrypted for, and what it has not signed', () => {
      const isRefused = (error: unknown): boolean =>
        error instanceof PermError && error.code === 'smime/certificate'
      const weak = [
        request('weak', '-newkey', 'rsa:1024'),
        request('curve', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp256k1'),
        request('ed25519', '-newkey', 'ed25519'),
      ]
      for (const der of weak) assert.throws(() => readRequest(der), isRefused)
      const good = request('good', ...p256)
      const pem = formatPem('CERTIFICATE REQUEST', good)
      assert.throws(() => readRequest(Buffer.from(pem + pem)), isRefused)
      assert.throws(() => readRequest(Buffer.from('rubbish')), isRefused)
      fc.assert(
        fc.property(fc.nat(good.length * 8 - 1), (bit) => {
          const changed = Uint8Array.from(good)
          changed[bit >> 3]! ^= 1 << (bit & 7)
          assert.throws(() => readRequest(changed), isRefused)
        }),
      )
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
          assert.throws(() => readRequest(bytes), isRefused)
        }),
      )
    })
  })

  it('issues for its own domains alone, no longer than it lasts, and revokes once', async () => {
    const authority = await newAuthority()
    const key = await generateMailKey('p256')
    const common = { user: '*', nowMs: NOW, publicKey: key.publicKey, algorithm: 'ec' } as const
    assert.throws(
      () => issueCertificate(authority, { ...common, domain: 'b.example', days: 1 }),
      PermError,
    )
    assert.throws(
      () => issueCertificate(authority, { ...common, domain: 'a.example', days: 4000 }),
      PermError,
    )
    const { register, entry } = issueTo(authority, key)
    const why = { reason: 'superseded', nowMs: NOW } as const
    const revoked = revokeCertificate(register, entry.id, why)
    assert.throws(() => revokeCertificate(revoked, entry.id, why), PermError)
    assert.throws(() => revokeCertificate(register, 'x', why), PermError)
  })

  it('is believed for no other domain, whoever has its key', async () => {
    const authority = await newAuthority()
    const key = await generateMailKey('p256')
    const greedy = { ...authority, register: { ...authority.register, domains: ['b.example'] } }
    const { certificate } = issueCertificate(greedy, {
      domain: 'b.example',
      user: 'bob',
      days: 1,
      nowMs: NOW,
      publicKey: key.publicKey,
      algorithm: 'ec',
    })
    const file = put('greedy', 'CERTIFICATE', certificate)
    const root = put('root', 'CERTIFICATE', authority.certificate)
    assert.match(openssl('verify', '-CAfile', root, file), /permitted subtree violation/)
  })

  it('remembers in a text what it has issued', async () => {
    const { register } = issueTo(await newAuthority(), await generateMailKey('p256'))
    assert.deepEqual(parseRegister(formatRegister(register)), register)
    const { issued, ...rest } = register
    const odd = [{ ...issued[0], reason: 'boredom' }]
    for (const text of ['', '{}', 'null', '[]', JSON.stringify({ ...rest, issued: odd })])
      assert.throws(() => parseRegister(text), PermError)
  })
})

describe('PKCS #12', () => {
  const passphrase = (text: string): SecretBytes => new SecretBytes(Buffer.from(text))

  for (const type of MAIL_KEY_TYPES)
    it(`goes to openssl and comes from it: ${type}`, async () => {
      const authority = await newAuthority()
      const key = await generateMailKey(type)
      const { certificate } = issueTo(authority, key)
      const contents = { secret: key.secret, certificates: [certificate, authority.certificate] }
      const file = await formatPkcs12(contents, 'alice@a.example', passphrase('a good one'))
      writeFileSync(join(folder, 'own.p12'), file)
      const pass = ['-passin', 'pass:a good one', '-passout', 'pass:another']
      const read = openssl('pkcs12', '-in', 'own.p12', '-nodes', ...pass)
      assert.ok(read.includes(formatPem('CERTIFICATE', certificate)), read)
      assert.ok(read.includes(formatPem('CERTIFICATE', authority.certificate)))
      assert.match(read, /friendlyName: alice@a\.example/)
      writeFileSync(join(folder, 'own.pem'), read)
      const again = ['pkcs12', '-export', '-in', 'own.pem', '-out', 'theirs.p12']
      openssl(...again, '-passout', 'pass:another')
      for (const [bytes, secret] of [
        [file, 'a good one'],
        [readFileSync(join(folder, 'theirs.p12')), 'another'],
      ] as const) {
        const found = await parsePkcs12(bytes, passphrase(secret))
        assert.deepEqual(
          found.certificates.map((der) => Buffer.from(der)),
          contents.certificates,
        )
        assert.deepEqual(Buffer.from(found.secret.bytes), Buffer.from(key.secret.bytes))
        await assert.rejects(parsePkcs12(bytes, passphrase('wrong')), { code: 'cli/usage' })
      }
    })

  it('does not open with a bit changed or from other bytes, and has an ASCII passphrase', async () => {
    const authority = await newAuthority()
    const contents = { secret: authority.key.secret, certificates: [authority.certificate] }
    const file = await formatPkcs12(contents, 'x', passphrase('a good one'))
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: file.length * 8 - 1 }), async (bit) => {
        const copy = Uint8Array.from(file)
        copy[bit >> 3]! ^= 1 << (bit & 7)
        // A few bits mean nothing, such as those of the names of attributes that nobody reads.
        const found = await parsePkcs12(copy, passphrase('a good one')).catch(
          (error: unknown) => error,
        )
        if (!(found instanceof Error)) assert.deepEqual(found, await opened(file))
        else assert.ok(found instanceof PermError)
      }),
      { numRuns: 20 },
    )
    await assert.rejects(parsePkcs12(Buffer.from('x'), passphrase('x')), PermError)
    await assert.rejects(formatPkcs12(contents, 'x', passphrase('naïve')), PermError)
  })

  const opened = (file: Uint8Array): ReturnType<typeof parsePkcs12> =>
    parsePkcs12(file, passphrase('a good one'))
})
