// How signatures are made over certificates, lists, answers and messages: RFC 5754, RFC 4055, RFC 8410, RFC 8419. Those that
// somebody could forge are not known here.
import { constants, sign, verify, type KeyObject } from 'node:crypto'
import { PermError } from '../errors.ts'
import {
  TAG,
  expectTag,
  readElement,
  readElements,
  readInteger,
  readObjectIdentifier,
  type Element,
} from '../x509/der.ts'
import { nullValue, objectIdentifier, sequence } from '../x509/der-writer.ts'

/** SHA-2 alone: MD5 and SHA-1 prove nothing. */
export type Digest = 'sha256' | 'sha384' | 'sha512'

export interface SignatureAlgorithm {
  readonly keyType: 'rsa' | 'ec' | 'ed25519'
  /** undefined: the algorithm does not say, and whoever uses it has to (rsaEncryption, RFC 3370 section 3.2). */
  readonly digest: Digest | undefined
  /** Of RSASSA-PSS. */
  readonly saltBytes?: number
}

const OID = {
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
  sha512: '2.16.840.1.101.3.4.2.3',
  rsaEncryption: '1.2.840.113549.1.1.1',
  rsaPss: '1.2.840.113549.1.1.10',
  maskGeneration: '1.2.840.113549.1.1.8',
  ed25519: '1.3.101.112',
} as const

const DIGESTS: ReadonlyMap<string, Digest> = new Map([
  [OID.sha256, 'sha256'],
  [OID.sha384, 'sha384'],
  [OID.sha512, 'sha512'],
])

const ECDSA = {
  sha256: '1.2.840.10045.4.3.2',
  sha384: '1.2.840.10045.4.3.3',
  sha512: '1.2.840.10045.4.3.4',
} as const

const SIGNATURES: ReadonlyMap<string, SignatureAlgorithm> = new Map([
  [OID.rsaEncryption, { keyType: 'rsa', digest: undefined }],
  ['1.2.840.113549.1.1.11', { keyType: 'rsa', digest: 'sha256' }],
  ['1.2.840.113549.1.1.12', { keyType: 'rsa', digest: 'sha384' }],
  ['1.2.840.113549.1.1.13', { keyType: 'rsa', digest: 'sha512' }],
  [ECDSA.sha256, { keyType: 'ec', digest: 'sha256' }],
  [ECDSA.sha384, { keyType: 'ec', digest: 'sha384' }],
  [ECDSA.sha512, { keyType: 'ec', digest: 'sha512' }],
  // RFC 8419 section 3: its own hash inside, SHA-512 for the message digest.
  [OID.ed25519, { keyType: 'ed25519', digest: 'sha512' }],
])

/** An AlgorithmIdentifier. PermError for what is too weak, or not known here. */
export function readDigestAlgorithm(element: Element | undefined): Digest {
  const [id] = readElements(expectTag(element, TAG.sequence).content)
  const digest = DIGESTS.get(readObjectIdentifier(id))
  if (digest === undefined) throw unsupported(`a digest by ${readObjectIdentifier(id)}`)
  return digest
}

/** An AlgorithmIdentifier. PermError for what is too weak, or not known here. */
export function readSignatureAlgorithm(element: Element | undefined): SignatureAlgorithm {
  const [id, parameters] = readElements(expectTag(element, TAG.sequence).content)
  const name = readObjectIdentifier(id)
  const found = name === OID.rsaPss ? readPss(parameters) : SIGNATURES.get(name)
  if (found === undefined) throw unsupported(`a signature by ${name}`)
  return found
}

/** RFC 4055 section 3.1. What is left out there is SHA-1. */
function readPss(parameters: Element | undefined): SignatureAlgorithm {
  const members = readElements(expectTag(parameters, TAG.sequence).content)
  const member = (tag: number): Element | undefined => {
    const found = members.find((one) => one.tag === tag)
    return found && readElement(found.content)
  }
  const digest = readDigestAlgorithm(member(0xa0))
  const [mask, maskDigest] = readElements(expectTag(member(0xa1), TAG.sequence).content)
  const isPlain =
    readObjectIdentifier(mask) === OID.maskGeneration && readDigestAlgorithm(maskDigest) === digest
  if (!isPlain) throw unsupported('RSASSA-PSS with two digests')
  const salt = member(0xa2)
  const saltBytes = salt ? readInteger(salt) : 20
  if (saltBytes > 1024) throw unsupported('RSASSA-PSS with such a salt')
  return { keyType: 'rsa', digest, saltBytes }
}

/** Whether the key has made it. `digest`: for what the algorithm leaves open. */
export function isSignedBy(
  key: KeyObject,
  { keyType, digest, saltBytes }: SignatureAlgorithm,
  data: Uint8Array,
  signature: Uint8Array,
  fallback?: Digest,
): boolean {
  const isOfKind =
    key.asymmetricKeyType === keyType || (keyType === 'rsa' && key.asymmetricKeyType === 'rsa-pss')
  const hash = digest ?? fallback
  if (!isOfKind || hash === undefined) return false
  try {
    return verify(
      keyType === 'ed25519' ? null : hash,
      data,
      {
        key,
        dsaEncoding: 'der',
        ...(saltBytes !== undefined && {
          padding: constants.RSA_PKCS1_PSS_PADDING,
          saltLength: saltBytes,
        }),
      },
      signature,
    )
  } catch {
    return false // a key that cannot have made a signature of this kind
  }
}

export interface Signing {
  readonly digest: Digest
  /** AlgorithmIdentifiers. */
  readonly digestAlgorithm: Uint8Array
  readonly signatureAlgorithm: Uint8Array
  sign(data: Uint8Array): Uint8Array
}

/** How we sign with a private key. `rsa`: what RSA signatures are called, which is not the same in CMS and in certificates. */
export function signingWith(key: KeyObject, rsa: 'cms' | 'certificate'): Signing {
  const digest = digestFor(key)
  const digestAlgorithm = sequence(objectIdentifier(OID[digest]))
  const hash = key.asymmetricKeyType === 'ed25519' ? null : digest
  return {
    digest,
    digestAlgorithm,
    signatureAlgorithm: signatureAlgorithmFor(key, digest, rsa),
    sign: (data) => sign(hash, data, { key, dsaEncoding: 'der' }),
  }
}

function digestFor(key: KeyObject): Digest {
  if (key.asymmetricKeyType === 'ed25519') return 'sha512'
  const curve = key.asymmetricKeyDetails?.namedCurve
  if (curve === 'secp384r1') return 'sha384'
  return curve === 'secp521r1' ? 'sha512' : 'sha256'
}

function signatureAlgorithmFor(
  { asymmetricKeyType: type }: KeyObject,
  digest: Digest,
  rsa: 'cms' | 'certificate',
): Uint8Array {
  if (type === 'ed25519') return sequence(objectIdentifier(OID.ed25519))
  if (type === 'ec') return sequence(objectIdentifier(ECDSA[digest]))
  if (type !== 'rsa') throw unsupported(`a key of type ${type}`)
  // RFC 3370 section 3.2: in CMS everybody knows rsaEncryption; in a certificate the digest has to be named.
  const name = rsa === 'cms' ? OID.rsaEncryption : '1.2.840.113549.1.1.11'
  return sequence(objectIdentifier(name), nullValue())
}

function unsupported(what: string): PermError {
  return new PermError('crypto/unsupported', `${what} is not known here, or too weak`)
}
