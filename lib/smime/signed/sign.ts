// SignedData as we write it: RFC 5652 section 5, RFC 8551 sections 2.5 and 3.5.
import { createHash } from 'node:crypto'
import type { SecretBytes } from '../../crypto/secret-bytes.ts'
import { PermError } from '../../errors.ts'
import type { Certificate } from '../../x509/certificate.ts'
import {
  element,
  enclosed,
  integer,
  objectIdentifier,
  octetString,
  sequence,
  setOf,
  time,
} from '../../x509/der-writer.ts'
import { TAG, readElement } from '../../x509/der.ts'
import { READ_ANEW, type KeyReader } from '../cms/key-cache.ts'
import { signingWith, type Signing } from '../signature-algorithm.ts'
import type { Link } from '../trust/chain.ts'
import { FIELD, OID } from './identifiers.ts'

export interface SigningKey {
  /** PKCS #8, DER. */
  readonly secret: SecretBytes
  /** DER, the key's own first, then what leads to the root. */
  readonly certificates: readonly Uint8Array[]
}

export interface SignOptions {
  /** `detached`: the content stands beside it (multipart/signed). */
  readonly form: 'opaque' | 'detached'
  readonly at: Date
  /** By default key and certificates are read anew. */
  readonly keys?: Pick<KeyReader, 'privateKey' | 'link'>
}

/** A ContentInfo, DER. PermError smime/certificate where the key is not that of its certificate. */
export function signData(
  content: Uint8Array,
  { secret, certificates }: SigningKey,
  { form, at, keys = READ_ANEW }: SignOptions,
): Uint8Array {
  const links = certificates.map(keys.link)
  const [own] = links
  if (own === undefined) throw noCertificate('has no certificate')
  const key = keys.privateKey(secret.bytes)
  if (!own.x509.checkPrivateKey(key)) throw noCertificate('is not that of its certificate')
  const signing = signingWith(key, 'cms')
  const digest = createHash(signing.digest).update(content).digest()
  const attributes = signedAttributes(signing, digest, at)
  const signature = signing.sign(setOf(...attributes))
  return Buffer.concat(
    enclosed(TAG.sequence, [
      objectIdentifier(OID.signedData),
      ...enclosed(
        FIELD.content,
        enclosed(TAG.sequence, [
          integer(1), // RFC 5652 section 5.1: id-data, X.509 certificates, signers by issuer and number
          setOf(signing.digestAlgorithm),
          ...encapsulated(form === 'opaque' ? content : undefined),
          element(FIELD.certificates, ...withoutRoot(links)),
          setOf(signerInfo(own.certificate, signing, attributes, signature)),
        ]),
      ),
    ]),
  )
}

function encapsulated(content: Uint8Array | undefined): readonly Uint8Array[] {
  const type = objectIdentifier(OID.data)
  if (content === undefined) return enclosed(TAG.sequence, [type])
  const octets = enclosed(TAG.octetString, [content])
  return enclosed(TAG.sequence, [type, ...enclosed(FIELD.content, octets)])
}

/** What whoever reads it has to trust already need not be sent. */
function withoutRoot([own, ...others]: readonly Link[]): readonly Uint8Array[] {
  const sent = others.filter(({ certificate }) => !certificate.isSelfIssued)
  return (own === undefined ? sent : [own, ...sent]).map(({ der }) => der)
}

function signedAttributes(signing: Signing, digest: Uint8Array, at: Date): readonly Uint8Array[] {
  return [
    attribute(OID.contentType, objectIdentifier(OID.data)),
    attribute(OID.signingTime, time(at.getTime())),
    attribute(OID.messageDigest, octetString(digest)),
    // RFC 8551 section 2.5.2: what we can open, the best first.
    attribute(
      OID.smimeCapabilities,
      sequence(
        ...[OID.aes256Gcm, OID.aes256Cbc].map((cipher) => sequence(objectIdentifier(cipher))),
      ),
    ),
    attribute(
      OID.algorithmProtection,
      sequence(signing.digestAlgorithm, element(0xa1, contentOf(signing.signatureAlgorithm))),
    ),
  ]
}

function attribute(type: string, value: Uint8Array): Uint8Array {
  return sequence(objectIdentifier(type), setOf(value))
}

function signerInfo(
  { issuer, serialNumber }: Certificate,
  signing: Signing,
  attributes: readonly Uint8Array[],
  signature: Uint8Array,
): Uint8Array {
  return sequence(
    integer(1),
    sequence(issuer, element(TAG.integer, serialNumber)),
    signing.digestAlgorithm,
    element(FIELD.signedAttributes, contentOf(setOf(...attributes))),
    signing.signatureAlgorithm,
    octetString(signature),
  )
}

function contentOf(der: Uint8Array): Uint8Array {
  return readElement(der).content
}

function noCertificate(what: string): PermError {
  return new PermError('smime/certificate', `a key to sign with ${what}`)
}
