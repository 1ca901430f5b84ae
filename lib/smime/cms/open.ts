// Opens EnvelopedData and AuthEnvelopedData with keys of ours. A content key that does not come out is replaced by one that
// nobody knows, and opening goes on: only the content tells, and it tells nothing but that it does not open (RFC 3218).
import { createHash, createHmac, createPrivateKey, type KeyObject } from 'node:crypto'
import { readCertificateKey, type CertificateKey } from './certificate-key.ts'
import { undecryptable } from './cms-error.ts'
import { decryptContent } from './content.ts'
import type { EncryptedContent } from './enveloped-data.ts'
import { agreeOnKey, pointOf, unwrapKey } from './key-agreement.ts'
import {
  agreementOf,
  oaepOf,
  type RecipientIdentifier,
  type RecipientInfo,
} from './recipient-info.ts'
import { openTransportedKey } from './rsa-transport.ts'

/** A private key of ours and the certificate by which others know it. */
export interface OwnKey {
  readonly certificate: Uint8Array
  /** PKCS #8, DER. */
  readonly secret: Uint8Array
}

export interface OpenedContent {
  readonly plaintext: Uint8Array
  /** Which of the keys. */
  readonly keyIndex: number
  readonly transport: 'rsa-pkcs1' | 'rsa-oaep' | 'ecdh'
  /** SHA-256 of the encrypted content key, hexadecimal. */
  readonly sealedKeyId: string
}

/** A message that names us more often than that costs more than it is worth. */
const TRIAL_LIMIT = 4

/**
 * undefined: it is for others. PermError smime/decrypt for all that can go wrong with a key of ours; crypto/unsupported where
 * anybody can see why.
 */
export function openContent(
  content: EncryptedContent,
  keys: readonly OwnKey[],
): OpenedContent | undefined {
  const trials = trialsFor(content.recipients, keys).slice(0, TRIAL_LIMIT)
  if (trials.length === 0) return undefined
  for (const { info, key, keyIndex, secret } of trials) {
    const contentKey = contentKeyOf(info, key, secret, content.cipher.keyBytes)
    const plaintext = decryptContent(content, contentKey)
    contentKey.fill(0)
    if (!plaintext) continue
    return {
      plaintext,
      keyIndex,
      transport: transportOf(info),
      sealedKeyId: createHash('sha256').update(info.encryptedKey).digest('hex'),
    }
  }
  throw undecryptable()
}

interface Trial {
  readonly info: RecipientInfo
  readonly key: CertificateKey
  readonly keyIndex: number
  readonly secret: Uint8Array
}

function trialsFor(infos: readonly RecipientInfo[], keys: readonly OwnKey[]): Trial[] {
  return keys.flatMap(({ certificate, secret }, keyIndex) => {
    const key = readCertificateKey(certificate)
    const type = key.kind.type === 'rsa' ? 'key-transport' : 'key-agreement'
    const info = infos.find((one) => one.type === type && isNamed(key, one.recipient))
    return info ? [{ info, key, keyIndex, secret }] : []
  })
}

/** RFC 5652 section 6.2.1: by the issuer and the serial number, or by the identifier of the key. */
function isNamed(key: CertificateKey, recipient: RecipientIdentifier): boolean {
  if ('subjectKeyIdentifier' in recipient)
    return Buffer.compare(recipient.subjectKeyIdentifier, key.subjectKeyIdentifier) === 0
  return (
    Buffer.compare(recipient.serialNumber, key.serialNumber) === 0 &&
    Buffer.compare(recipient.issuer, key.issuer) === 0
  )
}

function transportOf(info: RecipientInfo): OpenedContent['transport'] {
  if (info.type === 'key-agreement') return 'ecdh'
  return oaepOf(info.algorithm) ? 'rsa-oaep' : 'rsa-pkcs1'
}

function contentKeyOf(
  info: RecipientInfo,
  { kind }: CertificateKey,
  secret: Uint8Array,
  keyBytes: number,
): Uint8Array {
  const privateKey = createPrivateKey({ key: Buffer.from(secret), format: 'der', type: 'pkcs8' })
  const rejectionSecret = createHash('sha256').update('hisho CMS rejection').update(secret).digest()
  try {
    if (info.type === 'key-transport') {
      const { encryptedKey, algorithm } = info
      const oaep = oaepOf(algorithm)
      return openTransportedKey({ privateKey, rejectionSecret, encryptedKey, keyBytes, oaep })
    }
    const rejected = createHmac('sha256', rejectionSecret).update(info.encryptedKey).digest()
    const unwrapped =
      kind.type === 'ec' ? unwrapWith(info, privateKey, kind.curve, keyBytes) : undefined
    return unwrapped ?? Uint8Array.from(rejected.subarray(0, keyBytes))
  } finally {
    rejectionSecret.fill(0)
  }
}

function unwrapWith(
  info: RecipientInfo & { readonly type: 'key-agreement' },
  privateKey: KeyObject,
  curve: Parameters<typeof pointOf>[0],
  keyBytes: number,
): Uint8Array | undefined {
  const { algorithm, originatorPoint, userKeyingMaterial, encryptedKey } = info
  const terms = { ...agreementOf(algorithm), userKeyingMaterial }
  const publicKey = originatorPoint && pointOf(curve, originatorPoint)
  if (!publicKey) return undefined
  const kek = agreeOnKey(privateKey, publicKey, terms)
  const key = unwrapKey(terms.wrap, kek, encryptedKey, keyBytes)
  kek.fill(0)
  return key
}
