// EnvelopedData and AuthEnvelopedData, as far as anybody can read them: RFC 5652 section 6.1, RFC 5083 section 2.1, RFC 5084.
import { readObjectIdentifier } from '../../x509/der.ts'
import {
  CONTENT_CIPHERS,
  OID,
  readAlgorithm,
  REFUSED_CIPHERS,
  type AlgorithmIdentifier,
  type ContentCipher,
} from './algorithm.ts'
import {
  expectTag,
  octetPieces,
  octets,
  readBer,
  smallInteger,
  TAG,
  type BerElement,
} from './ber.ts'
import { malformed, unsupported } from './cms-error.ts'
import { readRecipientInfos, type RecipientInfo } from './recipient-info.ts'

export interface EncryptedContent {
  readonly recipients: readonly RecipientInfo[]
  /** What the plaintext is: a MIME entity is `OID.data`. */
  readonly contentType: string
  readonly cipher: ContentCipher
  /** Of CBC; the nonce of GCM. */
  readonly iv: Uint8Array
  /** In the pieces in which it came. */
  readonly pieces: readonly Uint8Array[]
  /** undefined: nothing shows whether it was altered. */
  readonly authentication: Authentication | undefined
}

export interface Authentication {
  readonly tag: Uint8Array
  /** Authenticated attributes in DER, or nothing: RFC 5083 section 2.2. */
  readonly additionalData: Uint8Array
}

const TAG_BYTES = 16
/** RFC 5084 section 3.2 knows 12 to 16. */
const TAG_MIN_BYTES = 12

/** A CMS message: ContentInfo, RFC 5652 section 3. PermError mail/malformed, or crypto/unsupported. */
export function parseEncryptedContent(bytes: Uint8Array): EncryptedContent {
  const [type, wrapper] = expectTag(readBer(bytes), TAG.sequence).children
  const id = readObjectIdentifier(type)
  const [content] = expectTag(wrapper, 0xa0).children
  const fields = [...expectTag(content, TAG.sequence).children]
  if (id === OID.envelopedData) return readEnveloped(fields)
  if (id === OID.authEnvelopedData) return readAuthEnveloped(fields)
  throw unsupported(`content type ${id}`)
}

interface Common extends Omit<EncryptedContent, 'iv' | 'authentication'> {
  readonly algorithm: AlgorithmIdentifier
  readonly rest: readonly BerElement[]
}

function readCommon(fields: readonly BerElement[]): Common {
  const [version, ...others] = fields
  smallInteger(version)
  if (others[0]?.tag === 0xa0) others.shift() // OriginatorInfo: certificates that nobody asked for
  const [recipients, info, ...rest] = others
  const [contentType, algorithm, content] = expectTag(info, TAG.sequence).children
  const identifier = readAlgorithm(algorithm)
  return {
    recipients: readRecipientInfos(recipients),
    contentType: readObjectIdentifier(contentType),
    algorithm: identifier,
    cipher: cipherOf(identifier.id),
    pieces: contentPieces(content),
    rest,
  }
}

function cipherOf(id: string): ContentCipher {
  const cipher = Object.hasOwn(CONTENT_CIPHERS, id) ? CONTENT_CIPHERS[id] : undefined
  if (!cipher) throw unsupported(`content encrypted with ${REFUSED_CIPHERS[id] ?? id}`)
  return cipher
}

/** `[0] IMPLICIT OCTET STRING OPTIONAL`: content that is somewhere else is none. */
function contentPieces(content: BerElement | undefined): Uint8Array[] {
  if (content === undefined || (content.tag !== 0x80 && content.tag !== 0xa0))
    throw malformed('there is no encrypted content')
  const pieces = octetPieces(content).filter(({ length }) => length > 0)
  if (pieces.length === 0) throw malformed('there is no encrypted content')
  return pieces
}

function readEnveloped(fields: readonly BerElement[]): EncryptedContent {
  const { algorithm, rest: _, ...common } = readCommon(fields)
  const { cipher } = common
  // RFC 5084 section 3: GCM is for AuthEnvelopedData. Here nothing would be checked.
  if (cipher.mode !== 'cbc') throw unsupported(`${cipher.name} in EnvelopedData`)
  const iv = octets(algorithm.parameters)
  if (iv.length !== cipher.blockBytes) throw malformed('an initialization vector of another length')
  return { ...common, iv, authentication: undefined }
}

function readAuthEnveloped(fields: readonly BerElement[]): EncryptedContent {
  const { algorithm, rest, ...common } = readCommon(fields)
  const { cipher } = common
  if (cipher.mode !== 'gcm') throw unsupported(`${cipher.name} in AuthEnvelopedData`)
  // GCMParameters, RFC 5084 section 3.2: the length of the tag is 12, where nothing is said.
  const [nonce, length] = expectTag(algorithm.parameters, TAG.sequence).children
  const iv = octets(nonce)
  if (iv.length === 0 || iv.length > 128) throw malformed('a nonce of another length')
  const tagBytes = length ? smallInteger(length) : TAG_MIN_BYTES
  const attributes = rest[0]?.tag === 0xa1 ? rest[0] : undefined
  const tag = octets(rest[attributes ? 1 : 0])
  if (tag.length !== tagBytes || tagBytes < TAG_MIN_BYTES || tagBytes > TAG_BYTES)
    throw unsupported(`GCM with a tag of ${tag.length} octets`)
  return {
    ...common,
    iv,
    authentication: { tag, additionalData: additionalData(attributes, common.contentType) },
  }
}

/** RFC 5083 section 2.2: in DER, with the tag of a SET OF. */
function additionalData(attributes: BerElement | undefined, contentType: string): Uint8Array {
  if (!attributes) {
    // RFC 5083 section 2.1: they are there unless the content is id-data.
    if (contentType !== OID.data) throw malformed('no authenticated attributes')
    return new Uint8Array(0)
  }
  if (!attributes.isDefinite) throw unsupported('authenticated attributes that are not in DER')
  return Buffer.concat([Uint8Array.of(TAG.set), attributes.bytes.subarray(1)])
}

/** What the table must allow: RFC 8551 section 2.7.1 no longer knows triple DES; C6. */
export function isWeak({ cipher, authentication }: EncryptedContent): boolean {
  return cipher.isWeak || (authentication !== undefined && authentication.tag.length < TAG_BYTES)
}
