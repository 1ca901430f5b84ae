// Opens EnvelopedData and AuthEnvelopedData with keys of ours. A content key that does not come out is replaced by one that
// nobody knows, and opening goes on: only the content tells, and it tells nothing but that it does not open (RFC 3218).
import { createHash, createHmac, timingSafeEqual, type KeyObject } from 'node:crypto'
import { inOnePiece } from '../../mail/large-bytes.ts'
import type { CertificateKey } from './certificate-key.ts'
import { undecryptable } from './cms-error.ts'
import { decryptContent } from './content.ts'
import type { EncryptedContent } from './enveloped-data.ts'
import { READ_ANEW, type KeyReader } from './key-cache.ts'
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
  /** All of our keys for which the content key was sealed, the one that was used first. */
  readonly keyIndexes: readonly number[]
  readonly transport: 'rsa-pkcs1' | 'rsa-oaep' | 'ecdh'
  /** Names the content key, hexadecimal: whoever seals it anew for somebody else does not change that. */
  readonly sealedKeyId: string
}

/** Content is decrypted so often at most: a message that names more of our keys without being for them is a joke. */
const CONTENT_TRIALS = 4
/** Private keys are used so often at most. */
const KEY_TRIALS = 50

/**
 * A large message is overwritten. undefined: it is for others. PermError smime/decrypt for all that can go wrong with a key of ours; crypto/unsupported where
 * anybody can see why.
 */
export function openContent(
  content: EncryptedContent,
  keys: readonly OwnKey[],
  reader: KeyReader = READ_ANEW,
): OpenedContent | undefined {
  const trials = trialsFor(content.recipients, keys, reader).slice(0, KEY_TRIALS)
  if (trials.length === 0) return undefined
  const ciphertext = inOnePiece(content.pieces)
  for (const [at, trial] of trials.slice(0, CONTENT_TRIALS).entries()) {
    const contentKey = contentKeyOf(trial, content.cipher.keyBytes)
    const plaintext = decryptContent(content, ciphertext, contentKey)
    try {
      if (!plaintext) continue
      return {
        plaintext,
        keyIndexes: [trial, ...trials.slice(at + 1).filter((one) => opens(one, contentKey))].map(
          ({ keyIndex }) => keyIndex,
        ),
        transport: transportOf(trial.info),
        sealedKeyId: createHash('sha256').update(KEY_ID_TAG).update(contentKey).digest('hex'),
      }
    } finally {
      contentKey.fill(0)
    }
  }
  throw undecryptable()
}

const KEY_ID_TAG = 'HISHO-V2-SMIME-CONTENT-KEY'
const REJECTION_TAG = 'HISHO-V2-SMIME-REJECTION'

/** Whether the same content key was sealed for it: a message that only names a key of ours is not for its owner. */
function opens(trial: Trial, contentKey: Uint8Array): boolean {
  const found = contentKeyOf(trial, contentKey.length)
  const isSame = timingSafeEqual(found, contentKey)
  found.fill(0)
  return isSame
}

interface Trial {
  readonly info: RecipientInfo
  readonly key: CertificateKey
  readonly keyIndex: number
  readonly secret: Uint8Array
  readonly reader: KeyReader
}

function trialsFor(
  infos: readonly RecipientInfo[],
  keys: readonly OwnKey[],
  reader: KeyReader,
): Trial[] {
  return keys.flatMap(({ certificate, secret }, keyIndex) => {
    const key = reader.certificate(certificate)
    const type = key.kind.type === 'rsa' ? 'key-transport' : 'key-agreement'
    const info = infos.find((one) => one.type === type && isNamed(key, one.recipient))
    return info ? [{ info, key, keyIndex, secret, reader }] : []
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

function contentKeyOf({ info, key, secret, reader }: Trial, keyBytes: number): Uint8Array {
  const privateKey = reader.privateKey(secret)
  const rejectionSecret = createHash('sha256').update(REJECTION_TAG).update(secret).digest()
  try {
    if (info.type === 'key-transport') {
      const { encryptedKey, algorithm } = info
      const oaep = oaepOf(algorithm)
      return openTransportedKey({ privateKey, rejectionSecret, encryptedKey, keyBytes, oaep })
    }
    const rejected = createHmac('sha256', rejectionSecret).update(info.encryptedKey).digest()
    const unwrapped =
      key.kind.type === 'ec' ? unwrapWith(info, privateKey, key.kind.curve, keyBytes) : undefined
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
