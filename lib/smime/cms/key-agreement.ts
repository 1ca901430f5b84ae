// A content key wrapped with what an ephemeral key and the recipient's agree on: RFC 5753, RFC 3394.
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createPublicKey,
  diffieHellman,
  type KeyObject,
} from 'node:crypto'
import { CURVES, OID, type Curve, type Hash, type KeyWrap } from './algorithm.ts'
import {
  bitString,
  element,
  objectIdentifier,
  octetString,
  sequence,
} from '../../x509/der-writer.ts'

/** RFC 3394 section 2.2.3.1. */
const WRAP_IV = new Uint8Array(8).fill(0xa6)
const WRAP_OVERHEAD_BYTES = 8
/** Uncompressed, and compressed: RFC 5480 section 2.2 forbids the third form, which OpenSSL knows. */
const POINT_FORMS: readonly number[] = [4, 2, 3]

export interface AgreementTerms {
  readonly hash: Hash
  readonly wrap: KeyWrap
  /** The AlgorithmIdentifier of the wrap, as the sender wrote it. */
  readonly wrapAlgorithm: Uint8Array
  readonly userKeyingMaterial: Uint8Array | undefined
}

/** A point of the recipient's curve, RFC 5480 section 2.2, as a key; undefined if it is none. */
export function pointOf(curve: Curve, point: Uint8Array): KeyObject | undefined {
  if (!POINT_FORMS.includes(point[0] ?? 0)) return undefined
  const algorithm = sequence(objectIdentifier(OID.ecPublicKey), objectIdentifier(CURVES[curve].id))
  const key = Buffer.from(sequence(algorithm, bitString(point)))
  try {
    return createPublicKey({ key, format: 'der', type: 'spki' })
  } catch {
    return undefined
  }
}

/** The key that wraps the content key. The caller wipes it. Throws what is no matter to anybody if there is none. */
export function agreeOnKey(
  privateKey: KeyObject,
  publicKey: KeyObject,
  terms: AgreementTerms,
): Uint8Array {
  const secret = diffieHellman({ privateKey, publicKey })
  const key = x963Kdf(secret, sharedInfo(terms), terms.wrap.keyBytes, terms.hash)
  secret.fill(0)
  return key
}

/** ECC-CMS-SharedInfo, RFC 5753 section 7.2. */
function sharedInfo({ wrap, wrapAlgorithm, userKeyingMaterial }: AgreementTerms): Uint8Array {
  const bits = new DataView(new ArrayBuffer(4))
  bits.setUint32(0, wrap.keyBytes * 8)
  const material = userKeyingMaterial ? [element(0xa0, octetString(userKeyingMaterial))] : []
  return sequence(
    wrapAlgorithm,
    ...material,
    element(0xa2, octetString(new Uint8Array(bits.buffer))),
  )
}

/** SEC 1 section 3.6.1. */
export function x963Kdf(
  secret: Uint8Array,
  info: Uint8Array,
  length: number,
  hash: Hash,
): Uint8Array {
  const out = new Uint8Array(length)
  const counter = new DataView(new ArrayBuffer(4))
  for (let done = 0, index = 1; done < length; index++) {
    counter.setUint32(0, index)
    const block = createHash(hash).update(secret).update(counter).update(info).digest()
    out.set(block.subarray(0, length - done), done)
    done += block.length
    block.fill(0)
  }
  return out
}

/** RFC 3394 section 2.2.1. */
export function wrapKey({ name }: KeyWrap, kek: Uint8Array, key: Uint8Array): Uint8Array {
  const cipher = createCipheriv(name, kek, WRAP_IV)
  return Buffer.concat([cipher.update(key), cipher.final()])
}

/** RFC 3394 section 2.2.2. undefined: it is not what this key has wrapped, or of another length. */
export function unwrapKey(
  { name }: KeyWrap,
  kek: Uint8Array,
  wrapped: Uint8Array,
  keyBytes: number,
): Uint8Array | undefined {
  if (wrapped.length !== keyBytes + WRAP_OVERHEAD_BYTES) return undefined
  try {
    const decipher = createDecipheriv(name, kek, WRAP_IV)
    return Uint8Array.from(Buffer.concat([decipher.update(wrapped), decipher.final()]))
  } catch {
    return undefined
  }
}
