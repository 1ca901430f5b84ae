// Whether signatures are over the content, and made with the keys of the certificates that came with them: RFC 5652 sections
// 5.4 and 5.6. Whose certificates these are, and who vouches for them, is not asked here. No I/O: fit for a worker.
import { createHash, type KeyObject } from 'node:crypto'
import { PermError } from '../../errors.ts'
import type { Certificate } from '../../x509/certificate.ts'
import {
  TAG,
  expectTag,
  readElements,
  readElement,
  readObjectIdentifier,
  type Element,
} from '../../x509/der.ts'
import { readTime } from '../../x509/time.ts'
import { READ_ANEW, type KeyReader } from '../cms/key-cache.ts'
import { keyProblem } from '../key-strength.ts'
import { isSignedBy, readDigestAlgorithm } from '../signature-algorithm.ts'
import type { Link } from '../trust/chain.ts'
import { OID } from './identifiers.ts'
import { parseSignedData, type SignerIdentifier, type SignerInfo } from './signed-data.ts'

/** `intact` says that nobody has changed the content since; not who has signed it. */
export type SignatureCheck =
  | {
      readonly status: 'intact'
      /** Of the opaque form. */
      readonly content: Uint8Array | undefined
      readonly signers: readonly IntactSigner[]
      /** All that came with it, DER. */
      readonly certificates: readonly Uint8Array[]
    }
  | { readonly status: 'bad'; readonly reason: string }

export interface IntactSigner {
  /** DER. */
  readonly certificate: Uint8Array
  /** When they say that they signed. */
  readonly signedAtMs: number | undefined
}

/** RFC 5280 section 4.2.1.2. */
const SUBJECT_KEY_IDENTIFIER = '2.5.29.14'

/** `detached`: the content that stands beside it. Never throws for what the bytes say. */
export function checkSignatures(
  cms: Uint8Array,
  detached: Uint8Array | undefined,
  { link }: Pick<KeyReader, 'link'> = READ_ANEW,
): SignatureCheck {
  try {
    const { content, certificates, signers } = parseSignedData(cms)
    // Two contents, and readers who disagree which one is signed.
    if (detached !== undefined && content !== undefined) return bad('it has the content twice')
    const signed = detached ?? content
    if (signed === undefined) return bad('its content is missing')
    if (signers.length === 0) return bad('nobody has signed it')
    const known = certificates.flatMap((der) => tryLink(der, link))
    const checked = signers.map((signer) => checkSigner(signer, signed, known))
    const wrong = checked.find((one) => typeof one === 'string')
    if (wrong !== undefined) return bad(wrong)
    return {
      status: 'intact',
      content: detached === undefined ? content : undefined,
      signers: checked.filter((one) => typeof one !== 'string'),
      // Not the message with them, into which they point.
      certificates: certificates.map((der) => Uint8Array.from(der)),
    }
  } catch (error) {
    if (error instanceof PermError) return bad(error.message)
    throw error
  }
}

/** What cannot be read cannot be a signer's. */
function tryLink(der: Uint8Array, read: KeyReader['link']): Link[] {
  try {
    return [read(der)]
  } catch {
    return []
  }
}

/** A text: what is wrong. */
function checkSigner(
  signer: SignerInfo,
  content: Uint8Array,
  known: readonly Link[],
): IntactSigner | string {
  const wrong = attributesProblem(signer, content)
  if (wrong !== undefined) return wrong
  const candidates = known.filter(({ certificate }) => isOf(signer.certificate, certificate))
  if (candidates.length === 0) return 'a signer’s certificate is missing'
  // Two certificates of one name and number: an authority in error, or somebody who wants to be taken for another.
  if (candidates.length > 1) return 'a signer’s certificate is there twice'
  const [own] = candidates
  if (own === undefined || !isMadeWith(own, signer, content)) return 'a signature does not fit'
  const attribute = signer.attributes?.values.get(OID.signingCertificateV2)
  if (attribute && !namesCertificate(attribute, own.der))
    return 'a signature is for another certificate'
  const time = signer.attributes?.values.get(OID.signingTime)
  return { certificate: own.der, signedAtMs: time && readTime(onlyOne(time)) }
}

/** RFC 5652 section 5.6, and what each attribute has to say. */
function attributesProblem(
  { attributes, digest, digestDer, algorithm, algorithmDer }: SignerInfo,
  content: Uint8Array,
): string | undefined {
  // RFC 5754 section 3: two names for one digest must be the same one.
  if (algorithm.digest !== undefined && algorithm.digest !== digest)
    return 'a signature is made with two digests'
  // Signed attributes, taken for content: a signature without any fits both.
  if (attributes === undefined)
    return content[0] === TAG.set ? 'a signature without attributes is over some' : undefined
  const { values } = attributes
  const one = (name: string): Element => onlyOne(values.get(name) ?? [])
  if (readObjectIdentifier(one(OID.contentType)) !== OID.data)
    return 'a signature is over content of another type'
  const expected = expectTag(one(OID.messageDigest), TAG.octetString).content
  const actual = createHash(digest).update(content).digest()
  if (Buffer.compare(expected, actual) !== 0) return 'the content was changed'
  const protection = values.get(OID.algorithmProtection)
  if (protection === undefined) return undefined
  // RFC 6211 section 2.
  const [digestName, signatureName] = readElements(
    expectTag(onlyOne(protection), TAG.sequence).content,
  )
  const fits =
    isSame(digestName?.bytes, digestDer) &&
    isSame(expectTag(signatureName, 0xa1).content, readElement(algorithmDer).content)
  return fits ? undefined : 'a signature’s algorithms were changed'
}

function isMadeWith(own: Link, signer: SignerInfo, content: Uint8Array): boolean {
  const publicKey = tryKey(own)
  if (publicKey === undefined || keyProblem(publicKey) !== undefined) return false
  const { algorithm, attributes, digest, signature } = signer
  return isSignedBy(publicKey, algorithm, attributes?.der ?? content, signature, digest)
}

function tryKey({ x509 }: Link): KeyObject | undefined {
  try {
    return x509.publicKey
  } catch {
    return undefined // of a kind that is unknown here
  }
}

function isOf(identifier: SignerIdentifier, certificate: Certificate): boolean {
  if ('subjectKey' in identifier) {
    const value = certificate.extensions.get(SUBJECT_KEY_IDENTIFIER)
    return value !== undefined && isSame(readElement(value).content, identifier.subjectKey)
  }
  return (
    isSame(certificate.issuer, identifier.issuer) &&
    isSame(certificate.serialNumber, identifier.serialNumber)
  )
}

/** RFC 5035 section 3: the first one named is the signer's own. */
function namesCertificate(values: readonly Element[], der: Uint8Array): boolean {
  const [list] = readElements(expectTag(onlyOne(values), TAG.sequence).content)
  const [first] = readElements(expectTag(list, TAG.sequence).content)
  const members = readElements(expectTag(first, TAG.sequence).content)
  const named = members[0]?.tag === TAG.sequence ? members.shift() : undefined
  const digest = named ? readDigestAlgorithm(named) : 'sha256'
  const hash = expectTag(members[0], TAG.octetString).content
  return isSame(createHash(digest).update(der).digest(), hash)
}

function onlyOne(values: readonly Element[]): Element {
  const [value, ...more] = values
  if (value === undefined || more.length > 0)
    throw new PermError('crypto/unsupported', 'CMS: an attribute has not one value')
  return value
}

function isSame(one: Uint8Array | undefined, other: Uint8Array): boolean {
  return one !== undefined && Buffer.compare(one, other) === 0
}

function bad(reason: string): SignatureCheck {
  return { status: 'bad', reason }
}
