// Writes EnvelopedData (profile compat) and AuthEnvelopedData (profile modern) in DER: RFC 5652 section 6, RFC 5083, RFC 8551.
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import {
  AGREEMENT_HASHES,
  CONTENT_CIPHERS,
  CURVES,
  KEY_WRAPS,
  OID,
  type Curve,
} from './algorithm.ts'
import { readRecipientKey, type CertificateKey } from './certificate-key.ts'
import {
  encryptContent,
  GCM_NONCE_BYTES,
  GCM_TAG_BYTES,
  sealedBytes,
  type Plaintext,
} from './content.ts'
import {
  bitString,
  element,
  integer,
  nullValue,
  objectIdentifier,
  octetString,
  sequence,
  setOf,
  startOf,
} from '../../x509/der-writer.ts'
import { READ_ANEW, type KeyReader } from './key-cache.ts'
import { agreeOnKey, wrapKey } from './key-agreement.ts'
import { sealTransportedKey } from './rsa-transport.ts'

/** `compat`: what every program reads. `modern`: authenticated, and RSA with OAEP. */
export type Profile = 'compat' | 'modern'

interface ProfileTerms {
  readonly contentType: string
  /** Where a recipient's key is agreed on. */
  readonly version: number
  readonly cipherId: string
  /** undefined: PKCS #1 v1.5. */
  readonly oaep: 'sha256' | undefined
}

const TERMS: Readonly<Record<Profile, ProfileTerms>> = {
  compat: {
    contentType: OID.envelopedData,
    version: 2,
    cipherId: '2.16.840.1.101.3.4.1.42',
    oaep: undefined,
  },
  modern: {
    contentType: OID.authEnvelopedData,
    version: 0,
    cipherId: '2.16.840.1.101.3.4.1.46',
    oaep: 'sha256',
  },
}

const SHA256 = '2.16.840.1.101.3.4.2.1'
const AES256_WRAP = '2.16.840.1.101.3.4.1.45'
const CBC_IV_BYTES = 16

/** A CMS message for the holders of these certificates, in pieces. PermError smime/certificate. */
export function sealPieces(
  plaintext: Plaintext,
  certificates: readonly Uint8Array[],
  profile: Profile,
  reader: KeyReader = READ_ANEW,
): Uint8Array[] {
  const terms = TERMS[profile]
  const keys = certificates.map((der) => readRecipientKey(der, reader.certificate))
  const cipher = CONTENT_CIPHERS[terms.cipherId]!
  const contentKey = randomBytes(cipher.keyBytes)
  const infos = setOf(...keys.map((key) => recipientInfo(key, contentKey, terms)))
  const isGcm = cipher.mode === 'gcm'
  const iv = randomBytes(isGcm ? GCM_NONCE_BYTES : CBC_IV_BYTES)
  const parameters = isGcm ? sequence(octetString(iv), integer(GCM_TAG_BYTES)) : octetString(iv)
  // RFC 5652 section 6.1: 2 where one of the recipients is not of version 0.
  const hasAgreement = keys.some(({ kind }) => kind.type === 'ec')
  const { before, content, after } = plaintext
  const plainBytes = (before?.length ?? 0) + content.length + (after?.length ?? 0)
  const { start, end } = frame({
    contentType: terms.contentType,
    version: hasAgreement ? terms.version : 0,
    infos,
    algorithm: sequence(objectIdentifier(terms.cipherId), parameters),
    contentBytes: sealedBytes(cipher, plainBytes),
    tagBytes: isGcm ? GCM_TAG_BYTES : undefined,
  })
  // RFC 5652 lets it be cut into several strings, and GnuPG does not read that.
  const { pieces, tag } = encryptContent(cipher, contentKey, iv, plaintext)
  contentKey.fill(0)
  const [first, middle, last] = pieces
  if (tag) end.set(tag, end.length - tag.length)
  return [Buffer.concat([start, first]), middle, Buffer.concat([last, end])]
}

/** As `sealPieces`, in one piece. */
export function sealContent(plaintext: Uint8Array, ...more: SealTerms): Uint8Array {
  return Buffer.concat(sealPieces({ content: Uint8Array.from(plaintext) }, ...more))
}

type SealTerms = [certificates: readonly Uint8Array[], profile: Profile, reader?: KeyReader]

interface FrameOptions {
  readonly contentType: string
  readonly version: number
  readonly infos: Uint8Array
  readonly algorithm: Uint8Array
  readonly contentBytes: number
  readonly tagBytes: number | undefined
}

/** What stands around the ciphertext; the tag is left empty. */
function frame(options: FrameOptions): { start: Uint8Array; end: Uint8Array } {
  const { contentBytes, tagBytes } = options
  const end = tagBytes === undefined ? new Uint8Array(0) : octetString(new Uint8Array(tagBytes))
  const around = (tag: number, before: Uint8Array, after: number): Uint8Array =>
    Buffer.concat([startOf(tag, before.length + contentBytes + after), before])
  const content = startOf(0x80, contentBytes)
  const info = around(
    0x30,
    Buffer.concat([objectIdentifier(OID.data), options.algorithm, content]),
    0,
  )
  const data = around(
    0x30,
    Buffer.concat([integer(options.version), options.infos, info]),
    end.length,
  )
  const wrapper = around(0xa0, data, end.length)
  const start = around(
    0x30,
    Buffer.concat([objectIdentifier(options.contentType), wrapper]),
    end.length,
  )
  return { start, end }
}

function recipientInfo(key: CertificateKey, contentKey: Uint8Array, terms: ProfileTerms) {
  const recipient = sequence(key.issuer, element(0x02, key.serialNumber))
  if (key.kind.type === 'ec') return agreementInfo(key, key.kind.curve, recipient, contentKey)
  const encryptedKey = sealTransportedKey(key.publicKey, contentKey, terms.oaep)
  const algorithm = terms.oaep ? oaepAlgorithm() : rsaAlgorithm()
  return sequence(integer(0), recipient, algorithm, octetString(encryptedKey))
}

function rsaAlgorithm(): Uint8Array {
  return sequence(objectIdentifier(OID.rsaEncryption), nullValue())
}

/** RFC 4055 section 4.1: SHA-256 for both, and no label. */
function oaepAlgorithm(): Uint8Array {
  const hash = sequence(objectIdentifier(SHA256), nullValue())
  const mask = sequence(objectIdentifier(OID.mgf1), hash)
  return sequence(
    objectIdentifier(OID.rsaesOaep),
    sequence(element(0xa0, hash), element(0xa1, mask)),
  )
}

/** RFC 5753 section 3.1.1: an ephemeral key for each recipient. */
function agreementInfo(
  { publicKey }: CertificateKey,
  curve: Curve,
  recipient: Uint8Array,
  contentKey: Uint8Array,
): Uint8Array {
  const { agreement } = CURVES[curve]
  const ephemeral = generateKeyPairSync('ec', { namedCurve: curve })
  const wrap = KEY_WRAPS[AES256_WRAP]!
  const wrapAlgorithm = sequence(objectIdentifier(AES256_WRAP))
  const hash = AGREEMENT_HASHES[agreement]!
  const kek = agreeOnKey(ephemeral.privateKey, publicKey, {
    hash,
    wrap,
    wrapAlgorithm,
    userKeyingMaterial: undefined,
  })
  const wrapped = wrapKey(wrap, kek, contentKey)
  kek.fill(0)
  const originator = element(
    0xa1, // in the place of SEQUENCE
    sequence(objectIdentifier(OID.ecPublicKey)),
    bitString(pointOfKey(ephemeral.publicKey.export({ format: 'jwk' }))),
  )
  return element(
    0xa1,
    integer(3),
    element(0xa0, originator),
    sequence(objectIdentifier(agreement), wrapAlgorithm),
    sequence(sequence(recipient, octetString(wrapped))),
  )
}

/** Uncompressed, RFC 5480 section 2.2. */
function pointOfKey({ x = '', y = '' }: { readonly x?: string; readonly y?: string }): Uint8Array {
  return Buffer.concat([Uint8Array.of(4), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')])
}
