// What a certificate says of itself, beyond what Node tells: RFC 5280 section 4. Signatures and names stay with Node.
import {
  TAG,
  expectTag,
  malformed,
  readBoolean,
  readElement,
  readElements,
  readInteger,
  readObjectIdentifier,
  type Element,
} from './der.ts'
import { readNameConstraints, type NameConstraints } from './name-constraints.ts'
import { readTime } from './time.ts'

export interface Certificate {
  /** The INTEGER's octets: two's complement, as they stand there. */
  readonly serialNumber: Uint8Array
  readonly notBeforeMs: number
  readonly notAfterMs: number
  /** Of the signature over it, such as `1.2.840.10045.4.3.2`. */
  readonly signatureAlgorithm: string
  /** The same with its parameters: the AlgorithmIdentifier, as DER. */
  readonly signatureAlgorithmDer: Uint8Array
  /** The names, as DER. */
  readonly issuer: Uint8Array
  readonly subject: Uint8Array
  /** emailAddress among its attributes (RFC 5280 section 4.1.2.6), as written; what is not ASCII is left out. */
  readonly subjectAddresses: readonly string[]
  readonly isSelfIssued: boolean
  /** SubjectPublicKeyInfo, as DER, byte for byte. */
  readonly publicKey: Uint8Array
  readonly isAuthority: boolean
  readonly pathLength: number | undefined
  /** undefined: the extension is not there, and nothing is forbidden. */
  readonly keyUsage: ReadonlySet<KeyUsage> | undefined
  readonly extendedKeyUsage: ReadonlySet<string> | undefined
  readonly nameConstraints: NameConstraints | undefined
  /** The GeneralNames, undecoded: a tag of RFC 5280 section 4.2.1.6 and what stands there. */
  readonly alternativeNames: readonly Element[]
  /** Critical ones that nobody here understands. */
  readonly unknownCritical: readonly string[]
  /** By their object identifiers: what stands in the OCTET STRING. */
  readonly extensions: ReadonlyMap<string, Uint8Array>
}

/** In the order of the bits: RFC 5280 section 4.2.1.3. */
const KEY_USAGES = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
] as const
export type KeyUsage = (typeof KEY_USAGES)[number]

const EXTENSION = {
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  extendedKeyUsage: '2.5.29.37',
} as const

const EMAIL_ADDRESS = '1.2.840.113549.1.9.1'

const UNDERSTOOD = new Set<string>([
  ...Object.values(EXTENSION),
  '2.5.29.32', // certificatePolicies: any will do, so none is looked at
])

/** Whole certificates are read by this; PermError where it is none. */
export function parseCertificate(der: Uint8Array): Certificate {
  const [body, algorithm] = readElements(expectTag(readElement(der), TAG.sequence).content)
  const fields = readElements(expectTag(body, TAG.sequence).content)
  const start = fields[0]?.tag === 0xa0 ? 1 : 0 // the version, RFC 5280 section 4.1.2.1
  const [serialNumber, , issuer, validity, subject, publicKey] = fields.slice(start)
  const [notBefore, notAfter] = readElements(expectTag(validity, TAG.sequence).content)
  const extensions = readExtensions(fields.find(({ tag }) => tag === 0xa3))
  const basic = extensions.get(EXTENSION.basicConstraints)?.value
  const names = extensions.get(EXTENSION.nameConstraints)
  return {
    serialNumber: expectTag(serialNumber, TAG.integer).content,
    notBeforeMs: readTime(notBefore),
    notAfterMs: readTime(notAfter),
    signatureAlgorithm: readObjectIdentifier(
      readElements(expectTag(algorithm, TAG.sequence).content)[0],
    ),
    signatureAlgorithmDer: expectTag(algorithm, TAG.sequence).bytes,
    issuer: expectTag(issuer, TAG.sequence).bytes,
    subject: expectTag(subject, TAG.sequence).bytes,
    subjectAddresses: readAddresses(expectTag(subject, TAG.sequence).content),
    isSelfIssued:
      Buffer.compare(
        expectTag(issuer, TAG.sequence).bytes,
        expectTag(subject, TAG.sequence).bytes,
      ) === 0,
    publicKey: expectTag(publicKey, TAG.sequence).bytes,
    ...readBasicConstraints(basic),
    keyUsage: readKeyUsage(extensions.get(EXTENSION.keyUsage)?.value),
    extendedKeyUsage: readExtendedKeyUsage(extensions.get(EXTENSION.extendedKeyUsage)?.value),
    nameConstraints: names && readNameConstraints(names.value, names.critical),
    alternativeNames: sequenceIn(extensions.get(EXTENSION.subjectAltName)?.value) ?? [],
    unknownCritical: [...extensions]
      .filter(([id, { critical }]) => critical && !UNDERSTOOD.has(id))
      .map(([id]) => id),
    extensions: new Map([...extensions].map(([id, { value }]) => [id, value])),
  }
}

/** SubjectPublicKeyInfo as it stands in the certificate; the rest of it need not be in order. */
export function publicKeyOf(der: Uint8Array): Uint8Array {
  const [body] = readElements(expectTag(readElement(der), TAG.sequence).content)
  const fields = readElements(expectTag(body, TAG.sequence).content)
  return expectTag(fields[fields[0]?.tag === 0xa0 ? 6 : 5], TAG.sequence).bytes
}

export interface Extension {
  readonly critical: boolean
  readonly value: Uint8Array
}

/** Of a certificate or a list of revoked ones. `wrapper`: the explicit tag around the SEQUENCE. */
export function readExtensions(wrapper: Element | undefined): Map<string, Extension> {
  const extensions = new Map<string, Extension>()
  for (const extension of wrapper ? (sequenceIn(wrapper.content) ?? []) : []) {
    const [first, ...rest] = readElements(expectTag(extension, TAG.sequence).content)
    const id = readObjectIdentifier(first)
    const [flag, value = flag] = rest
    // RFC 5280 section 4.2: no extension more than once.
    if (flag === undefined || extensions.has(id)) throw malformed('an extension that is none')
    extensions.set(id, {
      critical: rest.length > 1 && readBoolean(flag),
      value: expectTag(value, TAG.octetString).content,
    })
  }
  return extensions
}

function readAddresses(subject: Uint8Array): readonly string[] {
  return readElements(subject)
    .flatMap((set) => readElements(expectTag(set, TAG.set).content))
    .flatMap((pair) => {
      const [type, value] = readElements(expectTag(pair, TAG.sequence).content)
      if (value === undefined || readObjectIdentifier(type) !== EMAIL_ADDRESS) return []
      const text = Buffer.from(value.content).toString('latin1')
      return /^[!-~]+$/.test(text) ? [text] : []
    })
}

function sequenceIn(bytes: Uint8Array | undefined): Element[] | undefined {
  return bytes && readElements(expectTag(readElement(bytes), TAG.sequence).content)
}

/** RFC 5280 section 4.2.1.9. */
function readBasicConstraints(
  bytes: Uint8Array | undefined,
): Pick<Certificate, 'isAuthority' | 'pathLength'> {
  const fields = sequenceIn(bytes) ?? []
  const isAuthority = fields[0]?.tag === TAG.boolean && readBoolean(fields[0])
  const length = fields.find(({ tag }) => tag === TAG.integer)
  return { isAuthority, pathLength: length && readInteger(length) }
}

function readKeyUsage(bytes: Uint8Array | undefined): ReadonlySet<KeyUsage> | undefined {
  if (bytes === undefined) return undefined
  const { content } = expectTag(readElement(bytes), TAG.bitString)
  const bits = content[1] ?? 0
  return new Set(KEY_USAGES.filter((_, at) => (bits & (0x80 >> at)) !== 0))
}

function readExtendedKeyUsage(bytes: Uint8Array | undefined): ReadonlySet<string> | undefined {
  const purposes = sequenceIn(bytes)
  return purposes && new Set(purposes.map(readObjectIdentifier))
}
