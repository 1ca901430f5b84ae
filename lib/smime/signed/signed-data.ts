// SignedData as it is read: RFC 5652 section 5. Nothing is judged here but its form and its size.
import { PermError } from '../../errors.ts'
import { definiteForm } from '../../x509/ber.ts'
import {
  TAG,
  expectTag,
  readElement,
  readElements,
  readInteger,
  readObjectIdentifier,
  type Element,
} from '../../x509/der.ts'
import { element } from '../../x509/der-writer.ts'
import {
  readDigestAlgorithm,
  readSignatureAlgorithm,
  type Digest,
  type SignatureAlgorithm,
} from '../signature-algorithm.ts'
import { FIELD, OID } from './identifiers.ts'

const MAX_CERTIFICATES = 200
const MAX_CERTIFICATE_BYTES = 65_536
const MAX_SIGNERS = 20

export interface SignedData {
  /** undefined: detached. */
  readonly content: Uint8Array | undefined
  /** DER, each of them once. */
  readonly certificates: readonly Uint8Array[]
  readonly signers: readonly SignerInfo[]
}

export interface SignerInfo {
  readonly certificate: SignerIdentifier
  readonly digest: Digest
  readonly algorithm: SignatureAlgorithm
  /** AlgorithmIdentifiers, as DER. */
  readonly digestDer: Uint8Array
  readonly algorithmDer: Uint8Array
  readonly attributes: SignedAttributes | undefined
  readonly signature: Uint8Array
}

export type SignerIdentifier =
  | { readonly issuer: Uint8Array; readonly serialNumber: Uint8Array }
  | { readonly subjectKey: Uint8Array }

export interface SignedAttributes {
  /** What was signed: RFC 5652 section 5.4, a SET OF in DER. */
  readonly der: Uint8Array
  /** Type to values. Each type stands there once. */
  readonly values: ReadonlyMap<string, readonly Element[]>
}

/** A ContentInfo, DER or BER. PermError for what is none, too large, or made with what is too weak. */
export function parseSignedData(cms: Uint8Array): SignedData {
  const [type, wrapper] = membersOf(readElement(definiteForm(cms)))
  if (readObjectIdentifier(type) !== OID.signedData) throw malformed('is no SignedData')
  const [version, digests, encapsulated, ...rest] = membersOf(
    readElement(expectTag(wrapper, FIELD.content).content),
  )
  readInteger(version)
  expectTag(digests, TAG.set)
  const signerInfos = expectTag(rest.at(-1), TAG.set)
  const certificates = rest.find(({ tag }) => tag === FIELD.certificates)
  const known = rest.slice(0, -1).map(({ tag }) => tag)
  if (known.some((tag, at) => !KNOWN_FIELDS.includes(tag) || known.indexOf(tag) !== at))
    throw malformed('has a field that is not known')
  const signers = readElements(signerInfos.content)
  if (signers.length > MAX_SIGNERS) throw malformed(`has more than ${MAX_SIGNERS} signers`)
  return {
    content: readEncapsulated(encapsulated),
    certificates: certificates ? readCertificates(certificates) : [],
    signers: signers.map(readSigner),
  }
}

const KNOWN_FIELDS: readonly number[] = [FIELD.certificates, FIELD.revocations]

function readEncapsulated(encapsulated: Element | undefined): Uint8Array | undefined {
  const [type, wrapper, ...more] = membersOf(encapsulated)
  if (readObjectIdentifier(type) !== OID.data || more.length > 0)
    throw malformed('is over something else than data')
  if (wrapper === undefined) return undefined
  return expectTag(readElement(expectTag(wrapper, FIELD.content).content), TAG.octetString).content
}

/** Attribute certificates and the like are passed over. */
function readCertificates({ content }: Element): readonly Uint8Array[] {
  const all = readElements(content).filter(({ tag }) => tag === TAG.sequence)
  if (all.length > MAX_CERTIFICATES)
    throw malformed(`has more than ${MAX_CERTIFICATES} certificates`)
  const seen = new Set<string>()
  return all
    .map(({ bytes }) => bytes)
    .filter((der) => {
      const text = Buffer.from(der).toString('latin1')
      return der.length <= MAX_CERTIFICATE_BYTES && !seen.has(text) && seen.add(text)
    })
}

function readSigner(info: Element): SignerInfo {
  const [version, identifier, digestAlgorithm, ...rest] = membersOf(info)
  readInteger(version)
  const attributes = rest[0]?.tag === FIELD.signedAttributes ? rest.shift() : undefined
  const [algorithm, signature, unsigned, ...more] = rest
  if (more.length > 0 || (unsigned && unsigned.tag !== FIELD.unsignedAttributes))
    throw malformed('has a signer with a field that is not known')
  return {
    certificate: readIdentifier(identifier),
    digest: readDigestAlgorithm(digestAlgorithm),
    algorithm: readSignatureAlgorithm(algorithm),
    digestDer: expectTag(digestAlgorithm, TAG.sequence).bytes,
    algorithmDer: expectTag(algorithm, TAG.sequence).bytes,
    attributes: attributes && readAttributes(attributes),
    signature: expectTag(signature, TAG.octetString).content,
  }
}

/** RFC 5652 section 5.3. */
function readIdentifier(identifier: Element | undefined): SignerIdentifier {
  if (identifier?.tag === FIELD.subjectKey) return { subjectKey: identifier.content }
  const [issuer, serialNumber] = membersOf(identifier)
  return {
    issuer: expectTag(issuer, TAG.sequence).bytes,
    serialNumber: expectTag(serialNumber, TAG.integer).content,
  }
}

function readAttributes({ content }: Element): SignedAttributes {
  const values = new Map<string, readonly Element[]>()
  for (const attribute of readElements(content)) {
    const [type, set, ...more] = membersOf(attribute)
    const name = readObjectIdentifier(type)
    if (values.has(name) || more.length > 0) throw malformed('has an attribute twice')
    values.set(name, readElements(expectTag(set, TAG.set).content))
  }
  // As it was sent, but for its tag: RFC 5652 section 5.4.
  return { der: element(TAG.set, content), values }
}

function membersOf(sequence: Element | undefined): Element[] {
  return readElements(expectTag(sequence, TAG.sequence).content)
}

function malformed(what: string): PermError {
  return new PermError('crypto/unsupported', `CMS: it ${what}`)
}
