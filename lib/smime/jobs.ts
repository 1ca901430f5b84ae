// What the workers do for S/MIME: all that takes apart what others have made, and all that uses a private key.
import { freshBoundary } from '../mail/multipart-encrypted.ts'
import { keepOnly } from '../mail/large-bytes.ts'
import { SecretBytes } from '../crypto/secret-bytes.ts'
import { readElements } from '../x509/der.ts'
import { unsupported } from './cms/cms-error.ts'
import { isWeak, parseEncryptedContent } from './cms/enveloped-data.ts'
import { createKeyCache, type KeyReader } from './cms/key-cache.ts'
import { openContent, type OpenedContent, type OwnKey } from './cms/open.ts'
import { sealPieces, type Profile } from './cms/seal.ts'
import { unwrapEntity } from './entity.ts'
import { aroundSigned } from './mime.ts'
import { checkSignatures, type SignatureCheck } from './signed/check.ts'
import { signData } from './signed/sign.ts'
import { parseSignedData } from './signed/signed-data.ts'

/** Certificates, and secret keys (PKCS #8), are DER; several are one after the other. */
export interface SmimeJobs {
  /** Signed, if there is a signer, and sealed, in pieces. PermError smime/certificate. */
  readonly seal: (args: {
    /** Overwritten. */
    entity: Uint8Array
    recipients: Uint8Array
    profile: Profile
    /** Empty: nobody signs. */
    signerSecret: Uint8Array
    signerCertificates: Uint8Array
    atMs: number
  }) => { pieces: readonly Uint8Array[] }
  /**
   * undefined: it is for others. PermError smime/decrypt, with one text whatever the reason; mail/malformed and
   * crypto/unsupported for what anybody can see.
   */
  readonly open: (args: {
    /** Overwritten, if it is large. */
    cms: Uint8Array
    /** As many as secrets. */
    certificates: Uint8Array
    secrets: Uint8Array
    weak: 'open' | 'refuse'
  }) => Promise<Opened | undefined>
  /** `content`: what stands beside it, or nothing. */
  readonly check: (args: { cms: Uint8Array; content: Uint8Array | undefined }) => SignatureCheck
}

export interface Opened extends Pick<OpenedContent, 'keyIndexes' | 'transport' | 'sealedKeyId'> {
  /** The innermost MIME entity. */
  readonly entity: Uint8Array
  readonly check: SignatureCheck | undefined
  /** Such as aes-256-cbc. */
  readonly cipher: string
  /** Whether it would show if somebody had altered it. */
  readonly isAuthenticated: boolean
  readonly isWeak: boolean
}

export function createJobs(): SmimeJobs {
  const keys = createKeyCache()
  return {
    seal: (args) => wiping(args.signerSecret, () => ({ pieces: seal(args, keys) })),
    async open(args) {
      try {
        return await open(args, keys)
      } finally {
        args.secrets.fill(0)
      }
    },
    check: ({ cms, content }) => checkSignatures(cms, content, keys),
  }
}

function seal(args: Parameters<SmimeJobs['seal']>[0], keys: KeyReader): Uint8Array[] {
  const { entity, recipients, profile, signerSecret, signerCertificates, atMs } = args
  const certificates = derIn(recipients)
  if (signerSecret.length === 0) return sealPieces({ content: entity }, certificates, profile, keys)
  const signer = { secret: new SecretBytes(signerSecret), certificates: derIn(signerCertificates) }
  // RFC 8551 section 3.5.3: the clear form, which does not grow by a third.
  const cms = signData(entity, signer, { form: 'detached', at: new Date(atMs), keys })
  const digest = parseSignedData(cms).signers[0]?.digest ?? 'sha256'
  const { before, after } = aroundSigned({ cms, digest }, freshBoundary())
  return sealPieces({ before, content: entity, after }, certificates, profile, keys)
}

async function open(
  args: Parameters<SmimeJobs['open']>[0],
  keys: KeyReader,
): Promise<Opened | undefined> {
  const content = parseEncryptedContent(args.cms)
  const weak = isWeak(content)
  const cipher = content.cipher.name
  if (weak && args.weak === 'refuse')
    throw unsupported(`${cipher} is weak, and the table does not say legacy: true for the author`)
  const opened = openContent(content, ownKeys(args.certificates, args.secrets), keys)
  if (!opened) return undefined
  const { plaintext, ...facts } = opened
  const { entity, check } = await unwrapEntity(plaintext, keys)
  const isAuthenticated = content.authentication !== undefined
  return { ...facts, entity: keepOnly(entity), check, cipher, isAuthenticated, isWeak: weak }
}

function ownKeys(certificates: Uint8Array, secrets: Uint8Array): OwnKey[] {
  const own = derIn(certificates)
  return derIn(secrets).flatMap((secret, at) => {
    const certificate = own[at]
    return certificate ? [{ certificate, secret }] : []
  })
}

function derIn(bytes: Uint8Array): Uint8Array[] {
  return readElements(bytes).map((element) => element.bytes)
}

function wiping<T>(secret: Uint8Array, use: () => T): T {
  try {
    return use()
  } finally {
    secret.fill(0)
  }
}
