// A request for a certificate that somebody else has made: RFC 2986 section 4. Taken of it is its key alone, once who asks has
// proven to have the other half. Names, uses and times are for the CA to say.
import { createPublicKey, type KeyObject } from 'node:crypto'
import { PermError } from '../../errors.ts'
import { expectTag, readElement, readElements, readInteger, TAG } from '../../x509/der.ts'
import { readPem } from '../../x509/pem.ts'
import { keyProblem } from '../key-strength.ts'
import { isSignedBy, readSignatureAlgorithm } from '../signature-algorithm.ts'

export interface RequestedKey {
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array
  readonly algorithm: 'rsa' | 'ec'
}

const MAX_BYTES = 65_536
/** RFC 7468 section 7: the longer one is older. */
const LABELS = ['CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST'] as const

/** PEM, or DER. PermError smime/certificate for what is no request, has a weak key, or is not signed by it. */
export function readRequest(bytes: Uint8Array): RequestedKey {
  try {
    return read(bytes)
  } catch (cause) {
    if (!(cause instanceof PermError) || cause.code === 'smime/certificate') throw cause
    throw new PermError('smime/certificate', `the request: ${cause.message}`, { cause })
  }
}

function read(bytes: Uint8Array): RequestedKey {
  const [info, algorithm, signature] = readElements(expectTag(outerOf(bytes), TAG.sequence).content)
  const [version, , key] = readElements(expectTag(info, TAG.sequence).content)
  if (readInteger(version) !== 0) throw refused('is of a version that nobody knows')
  const publicKey = expectTag(key, TAG.sequence).bytes
  const object = keyObjectOf(publicKey)
  const problem = keyProblem(object)
  if (problem !== undefined) throw refused(problem)
  const { asymmetricKeyType: type } = object
  // What is asked for is to be signed with, and to be encrypted for.
  if (type !== 'rsa' && type !== 'ec') throw refused(`has a key of the type ${type}`)
  const { content } = expectTag(signature, TAG.bitString)
  const signed = expectTag(info, TAG.sequence).bytes
  if (
    content[0] !== 0 ||
    !isSignedBy(object, readSignatureAlgorithm(algorithm), signed, content.subarray(1))
  )
    throw refused('is not signed by its own key')
  return { publicKey: Uint8Array.from(publicKey), algorithm: type }
}

function outerOf(bytes: Uint8Array): ReturnType<typeof readElement> {
  if (bytes.length > MAX_BYTES) throw refused('is too long')
  if (bytes[0] === TAG.sequence) return readElement(bytes)
  const text = Buffer.from(bytes).toString('latin1')
  const [der, another] = LABELS.flatMap((label) => readPem(label, text))
  if (der === undefined || another !== undefined) throw refused('is none, or several')
  return readElement(der)
}

function keyObjectOf(publicKey: Uint8Array): KeyObject {
  try {
    return createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' })
  } catch (cause) {
    throw new PermError('smime/certificate', 'the request has no key that is known here', { cause })
  }
}

function refused(reason: string): PermError {
  return new PermError('smime/certificate', `the request ${reason}`)
}
