// Signatures of S/MIME, and what our own CA makes, against other people's programs: the rows of
// test/support/interop-smime-signed.ts.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { SecretBytes } from '../../lib/crypto/secret-bytes.ts'
import {
  createAuthority,
  issueCertificate,
  publishList,
  revokeCertificate,
  type Authority,
} from '../../lib/smime/ca/authority.ts'
import { generateMailKey, type MailKey, type MailKeyType } from '../../lib/smime/ca/mail-key.ts'
import { formatPkcs12 } from '../../lib/smime/ca/pkcs12.ts'
import { signData } from '../../lib/smime/signed/sign.ts'
import { verifySigned } from '../../lib/smime/signed/verify.ts'
import { formatPem } from '../../lib/x509/pem.ts'
import type { Certified } from '../support/certificates.ts'
import { SMIME_KEYS, type SmimeKeyName, type SmimePeerName } from '../support/interop-smime.ts'
import { SIGNED_FROM, SIGNED_TO, SMIME_SIGNED_ROWS } from '../support/interop-smime-signed.ts'
import { trusting } from '../support/mail-certificates.ts'
import { peer as installed } from '../support/peers.ts'
import { gpgsm, type Gpgsm } from '../support/smime-peers.ts'

const KEY_TYPES: Readonly<Record<SmimeKeyName, MailKeyType>> = {
  'RSA-3072': 'rsa3072',
  'P-256': 'p256',
  'P-384': 'p384',
}
const CONTENT = Buffer.from(
  'Content-Type: text/plain; charset=utf-8\r\n\r\nGr\u00fc\u00dfe, \u79d8\u66f8\r\n',
)
const PASSPHRASE = 'x'

interface Signer {
  readonly key: MailKey
  readonly certified: Certified
}

const folder = mkdtempSync(join(tmpdir(), 'hisho-smime-signed-'))
let ca: Authority
let root: Certified
const signers = new Map<SmimeKeyName, Signer>()

const pem = (der: Uint8Array): string => formatPem('CERTIFICATE', der)
const certifiedBy = (der: Uint8Array, { secret }: MailKey): Certified => ({
  der: Uint8Array.from(der),
  certificate: pem(der),
  privateKey: formatPem('PRIVATE KEY', secret.bytes),
})

before(async () => {
  const nowMs = Date.now()
  const key = await generateMailKey('p384')
  const options = { name: 'Mail CA', domains: ['a.example'], days: 3650, listUrl: undefined, nowMs }
  ca = createAuthority(key, options)
  root = certifiedBy(ca.certificate, key)
  for (const kind of SMIME_KEYS) {
    const own = await generateMailKey(KEY_TYPES[kind])
    const { certificate, register } = issueCertificate(ca, {
      domain: 'a.example',
      user: KEY_TYPES[kind],
      days: 100,
      nowMs,
      publicKey: own.publicKey,
      algorithm: kind === 'RSA-3072' ? 'rsa' : 'ec',
    })
    ca = { ...ca, register }
    signers.set(kind, { key: own, certified: certifiedBy(certificate, own) })
  }
})
after(() => rmSync(folder, { recursive: true, force: true }))

function signerOf(kind: SmimeKeyName): Signer {
  const signer = signers.get(kind)
  assert.ok(signer)
  return signer
}

function signedByUs(kind: SmimeKeyName, form: 'opaque' | 'detached'): Uint8Array {
  const { key, certified } = signerOf(kind)
  const certificates = [certified.der, root.der]
  return signData(CONTENT, { secret: key.secret, certificates }, { form, at: new Date() })
}

async function statusOf(cms: Uint8Array, detached?: Uint8Array): Promise<string> {
  const found = await verifySigned(cms, detached, trusting(root), { at: new Date() })
  return found.status === 'good' ? 'good' : `${found.status}: ${found.reason}`
}

function put(name: string, content: Uint8Array | string): string {
  writeFileSync(join(folder, name), content)
  return name
}

function openssl(...args: readonly string[]): Buffer {
  return execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' })
}

function holds(
  peer: SmimePeerName,
  direction: 'to the peer' | 'from the peer',
  feature: string,
  key: SmimeKeyName,
): string {
  const row = SMIME_SIGNED_ROWS.find(
    (one) =>
      one.peer === peer &&
      one.direction === direction &&
      one.feature === feature &&
      one.key === key,
  )
  assert.ok(row, `${peer} ${direction} ${feature} ${key}`)
  return row.result
}

describe('signatures with openssl cms', { skip: installed('openssl', 'openssl') }, () => {
  const peer = 'openssl cms'
  const verify = (cms: Uint8Array, ...more: readonly string[]): Buffer => {
    const files = ['-in', put('signed', cms), '-CAfile', put('root', root.certificate)]
    return openssl('cms', '-verify', '-binary', '-inform', 'DER', ...files, ...more)
  }
  const sign = (kind: SmimeKeyName, ...more: readonly string[]): Uint8Array => {
    const { certificate, privateKey } = signerOf(kind).certified
    const files = ['-in', put('content', CONTENT), '-signer', put('own', certificate + privateKey)]
    openssl('cms', '-sign', '-binary', '-outform', 'DER', '-out', 'theirs', ...files, ...more)
    return readFileSync(join(folder, 'theirs'))
  }

  for (const kind of SMIME_KEYS) {
    it(`it verifies ours, and we its: ${kind}`, async () => {
      assert.equal(holds(peer, 'to the peer', SIGNED_TO.opaque, kind), 'yes')
      assert.deepEqual(verify(signedByUs(kind, 'opaque')), CONTENT)
      assert.equal(holds(peer, 'to the peer', SIGNED_TO.detached, kind), 'yes')
      const detached = signedByUs(kind, 'detached')
      assert.deepEqual(verify(detached, '-content', put('content', CONTENT)), CONTENT)
      assert.equal(holds(peer, 'to the peer', SIGNED_TO.changed, kind), 'yes')
      assert.throws(
        () => verify(detached, '-content', put('content', Buffer.concat([CONTENT, CONTENT]))),
        /content verify error/,
      )
      assert.equal(holds(peer, 'from the peer', SIGNED_FROM.opaque, kind), 'yes')
      assert.equal(await statusOf(sign(kind, '-nodetach')), 'good')
      assert.equal(holds(peer, 'from the peer', SIGNED_FROM.detached, kind), 'yes')
      const theirs = sign(kind)
      assert.equal(await statusOf(theirs, CONTENT), 'good')
      assert.equal(await statusOf(theirs, Buffer.from('x')), 'bad: the content was changed')
    })

    it(`it takes what our own CA makes: ${kind}`, async () => {
      assert.equal(holds(peer, 'to the peer', SIGNED_TO.chain, kind), 'yes')
      const { certified, key } = signerOf(kind)
      const own = put('own', certified.certificate)
      const check = (from: Authority): Buffer => {
        const { list } = publishList(from, { days: 7, nowMs: Date.now() })
        const lists = ['-crl_check', '-CRLfile', put('list', formatPem('X509 CRL', list))]
        const files = ['-CAfile', put('root', root.certificate), ...lists]
        return openssl('verify', '-x509_strict', '-purpose', 'smimesign', ...files, own)
      }
      assert.match(check(ca).toString(), /OK/)
      const id = ca.register.issued.find(({ user }) => user === KEY_TYPES[kind])?.id ?? ''
      const why = { reason: 'keyCompromise', nowMs: Date.now() } as const
      const revoked = { ...ca, register: revokeCertificate(ca.register, id, why) }
      assert.throws(() => check(revoked), /certificate revoked/)
      assert.equal(holds(peer, 'to the peer', SIGNED_TO.pkcs12, kind), 'yes')
      put('own.p12', await pkcs12(kind))
      const read = openssl('pkcs12', '-in', 'own.p12', '-nodes', '-passin', `pass:${PASSPHRASE}`)
      assert.ok(read.toString().includes(certified.certificate))
      assert.ok(read.toString().includes(formatPem('PRIVATE KEY', key.secret.bytes)))
    })
  }

  it('RSASSA-PSS, and SHA-1', async () => {
    assert.equal(holds(peer, 'from the peer', SIGNED_FROM.pss, 'RSA-3072'), 'yes')
    const pss = ['-nodetach', '-keyopt', 'rsa_padding_mode:pss', '-md', 'sha384']
    assert.equal(await statusOf(sign('RSA-3072', ...pss)), 'good')
    assert.equal(holds(peer, 'from the peer', SIGNED_FROM.weak, 'RSA-3072'), 'yes')
    assert.match(await statusOf(sign('RSA-3072', '-nodetach', '-md', 'sha1')), /^bad: .*too weak/)
  })
})

function pkcs12(kind: SmimeKeyName): Promise<Uint8Array> {
  const { certified, key } = signerOf(kind)
  const contents = { secret: key.secret, certificates: [certified.der, root.der] }
  return formatPkcs12(contents, 'alice@a.example', new SecretBytes(Buffer.from(PASSPHRASE)))
}

describe('signatures with gpgsm', { skip: installed('gpgsm', 'gpgsm') }, () => {
  let peer: Gpgsm
  before(async () => {
    peer = await gpgsm(root)
  })
  after(() => peer.close())

  it('it verifies ours under our own CA', async () => {
    for (const kind of SMIME_KEYS) {
      assert.equal(holds('gpgsm', 'to the peer', SIGNED_TO.detached, kind), 'yes')
      await peer.verify(CONTENT, signedByUs(kind, 'detached'))
      assert.equal(holds('gpgsm', 'to the peer', SIGNED_TO.changed, kind), 'yes')
      await assert.rejects(peer.verify(Buffer.from('x'), signedByUs(kind, 'detached')))
      assert.equal(holds('gpgsm', 'to the peer', SIGNED_TO.opaque, kind), 'yes')
      assert.deepEqual(await peer.verifyOpaque(signedByUs(kind, 'opaque')), CONTENT)
    }
  })

  it('it takes a key of our own CA that was made over, and we verify what it signs', async () => {
    for (const kind of SMIME_KEYS) {
      assert.match(holds('gpgsm', 'to the peer', SIGNED_TO.pkcs12, kind), /^no/)
      await assert.rejects(peer.importPkcs12(await pkcs12(kind)))
    }
    assert.equal(holds('gpgsm', 'to the peer', SIGNED_TO.oldPkcs12, 'RSA-3072'), 'yes')
    const { certified } = signerOf('RSA-3072')
    await peer.importKey(certified) // by way of openssl pkcs12
    assert.equal(holds('gpgsm', 'from the peer', SIGNED_FROM.opaque, 'RSA-3072'), 'yes')
    assert.equal(await statusOf(await peer.sign(CONTENT, certified)), 'good')
  })
})
