// Whom a CMS message names, and with what it is sealed for them: the certificate of a recipient. RFC 5652 section 6.2.1,
// RFC 5280 section 4.1.
import { createHash, createPublicKey, type KeyObject } from 'node:crypto'
import { PermError } from '../../errors.ts'
import { expectTag, readElement, readElements, readObjectIdentifier, TAG } from '../../x509/der.ts'
import { CURVES, curveOf, type Curve } from './algorithm.ts'

export interface CertificateKey {
  /** The Name of the issuer, as DER. */
  readonly issuer: Uint8Array
  /** The content of the INTEGER. */
  readonly serialNumber: Uint8Array
  /** What the certificate says of it, or what most say who say nothing: RFC 5280 section 4.2.1.2. */
  readonly subjectKeyIdentifier: Uint8Array
  readonly publicKey: KeyObject
  readonly kind: { readonly type: 'rsa' } | { readonly type: 'ec'; readonly curve: Curve }
}

const SUBJECT_KEY_IDENTIFIER = '2.5.29.14'
const RSA_MIN_BITS = 2048
/** Beyond that an operation takes seconds. */
const RSA_MAX_BITS = 8192

/** Of a recipient. PermError smime/certificate if nothing can, or may, be sealed for it. */
export function readRecipientKey(
  certificate: Uint8Array,
  read = readCertificateKey,
): CertificateKey {
  const key = read(certificate)
  const bits = key.publicKey.asymmetricKeyDetails?.modulusLength
  if (bits !== undefined && (bits < RSA_MIN_BITS || bits > RSA_MAX_BITS))
    throw unusable(`RSA with ${bits} bits`)
  return key
}

/** PermError smime/certificate if it cannot be read, or is of a kind that we do not have. */
export function readCertificateKey(certificate: Uint8Array): CertificateKey {
  try {
    const [body] = readElements(expectTag(readElement(certificate), TAG.sequence).content)
    const fields = readElements(expectTag(body, TAG.sequence).content)
    const [serialNumber, , issuer, , , key] = fields.slice(fields[0]?.tag === 0xa0 ? 1 : 0)
    const spki = Buffer.from(expectTag(key, TAG.sequence).bytes)
    const publicKey = createPublicKey({ key: spki, format: 'der', type: 'spki' })
    return {
      issuer: expectTag(issuer, TAG.sequence).bytes,
      serialNumber: expectTag(serialNumber, TAG.integer).content,
      subjectKeyIdentifier:
        keyIdentifierIn(fields.find(({ tag }) => tag === 0xa3)?.content) ?? keyIdentifierOf(spki),
      publicKey,
      kind: kindOf(publicKey),
    }
  } catch (error) {
    if (error instanceof PermError && error.code === 'smime/certificate') throw error
    throw unusable('it cannot be read', error)
  }
}

function kindOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): CertificateKey['kind'] {
  if (asymmetricKeyType === 'rsa') return { type: 'rsa' }
  const curve = curveOf(asymmetricKeyDetails?.namedCurve)
  if (asymmetricKeyType !== 'ec' || !curve) {
    const name = asymmetricKeyDetails?.namedCurve ?? asymmetricKeyType
    const known = Object.values(CURVES).map((one) => one.name)
    throw unusable(`a key of kind ${name}: RSA, or EC on ${known.join(', ')}, is taken`)
  }
  return { type: 'ec', curve }
}

function keyIdentifierIn(extensions: Uint8Array | undefined): Uint8Array | undefined {
  if (!extensions) return undefined
  for (const { content } of readElements(
    expectTag(readElement(extensions), TAG.sequence).content,
  )) {
    const parts = readElements(content)
    if (readObjectIdentifier(parts[0]) !== SUBJECT_KEY_IDENTIFIER) continue
    const value = expectTag(parts.at(-1), TAG.octetString).content
    return expectTag(readElement(value), TAG.octetString).content
  }
  return undefined
}

function keyIdentifierOf(spki: Uint8Array): Uint8Array {
  const [, key] = readElements(readElement(spki).content)
  return createHash('sha1').update(expectTag(key, TAG.bitString).content.subarray(1)).digest()
}

function unusable(reason: string, cause?: unknown): PermError {
  return new PermError('smime/certificate', `the certificate cannot be used: ${reason}`, { cause })
}
