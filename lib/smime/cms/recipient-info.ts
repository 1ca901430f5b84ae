// RecipientInfos: for whom a content key is sealed, and how. RFC 5652 section 6.2, RFC 5753 section 3.1, RFC 4055 section 4.1.
import {
  AGREEMENT_HASHES,
  HASHES,
  KEY_WRAPS,
  OID,
  readAlgorithm,
  type AlgorithmIdentifier,
  type Hash,
  type KeyWrap,
} from './algorithm.ts'
import {
  bitStringOctets,
  expectTag,
  isConstructed,
  octets,
  smallInteger,
  TAG,
  type BerElement,
} from './ber.ts'
import { malformed, unsupported } from './cms-error.ts'
import type { Oaep } from './rsa-transport.ts'

export type RecipientIdentifier =
  | { readonly issuer: Uint8Array; readonly serialNumber: Uint8Array }
  | { readonly subjectKeyIdentifier: Uint8Array }

/** Of one recipient: how the content key is sealed is looked at when the recipient is one of ours. */
export type RecipientInfo =
  | {
      readonly type: 'key-transport'
      readonly recipient: RecipientIdentifier
      readonly algorithm: AlgorithmIdentifier
      readonly encryptedKey: Uint8Array
    }
  | {
      readonly type: 'key-agreement'
      readonly recipient: RecipientIdentifier
      readonly algorithm: AlgorithmIdentifier
      readonly encryptedKey: Uint8Array
      /** undefined: a static key, which we do not take. */
      readonly originatorPoint: Uint8Array | undefined
      readonly userKeyingMaterial: Uint8Array | undefined
    }

/** C27: more than any mail to people has. */
const RECIPIENT_LIMIT = 200

/** Those for holders of certificates; the others (a shared key, a password) are left out. */
export function readRecipientInfos(set: BerElement | undefined): RecipientInfo[] {
  const { children } = expectTag(set, TAG.set)
  if (children.length === 0) throw malformed('no recipients')
  const infos = children.flatMap((info) => {
    if (info.tag === TAG.sequence) return [readKeyTransport(info)]
    return info.tag === 0xa1 ? readKeyAgreement(info) : []
  })
  if (children.length > RECIPIENT_LIMIT || infos.length > RECIPIENT_LIMIT)
    throw malformed(`more than ${RECIPIENT_LIMIT} recipients`)
  return infos
}

/** RFC 5652 section 6.2.1. */
function readKeyTransport({ children }: BerElement): RecipientInfo {
  const [version, recipient, algorithm, encryptedKey] = children
  smallInteger(version)
  return {
    type: 'key-transport',
    recipient: readIdentifier(recipient),
    algorithm: readAlgorithm(algorithm),
    encryptedKey: octets(encryptedKey),
  }
}

/** RFC 5652 section 6.2.2: several recipients, whose keys are on one curve. */
function readKeyAgreement({ children }: BerElement): RecipientInfo[] {
  const [version, originator, ...rest] = children
  smallInteger(version)
  const material = rest[0]?.tag === 0xa1 ? rest.shift()?.children[0] : undefined
  const [algorithm, keys] = rest
  const shared = {
    type: 'key-agreement',
    algorithm: readAlgorithm(algorithm),
    originatorPoint: readOriginator(originator),
    userKeyingMaterial: material && octets(material),
  } as const
  return expectTag(keys, TAG.sequence).children.map((key) => {
    const [recipient, encryptedKey] = expectTag(key, TAG.sequence).children
    return {
      ...shared,
      recipient: readIdentifier(recipient),
      encryptedKey: octets(encryptedKey),
    }
  })
}

/** `[0]` around a CHOICE, whose `[1]` is OriginatorPublicKey. */
function readOriginator(originator: BerElement | undefined): Uint8Array | undefined {
  const [choice] = expectTag(originator, 0xa0).children
  if (choice?.tag !== 0xa1) return undefined
  const [algorithm, point] = choice.children
  // RFC 5753 section 3.1.1; what parameters there are, those of the recipient count.
  if (readAlgorithm(algorithm).id !== OID.ecPublicKey) throw unsupported('another key agreement')
  return bitStringOctets(point)
}

function readIdentifier(element: BerElement | undefined): RecipientIdentifier {
  if (element?.tag === TAG.sequence) {
    const [issuer, serialNumber] = element.children
    return {
      issuer: expectTag(issuer, TAG.sequence).bytes,
      serialNumber: expectTag(serialNumber, TAG.integer).content,
    }
  }
  // SubjectKeyIdentifier of KeyTransRecipientInfo, and RecipientKeyIdentifier of KeyAgreeRecipientInfo: both are [0].
  if (element?.tag === 0xa0 && element.children.length > 0 && isConstructed(element))
    return { subjectKeyIdentifier: octets(element.children[0]) }
  return { subjectKeyIdentifier: octets(element, 0x80) }
}

/** undefined: PKCS #1 v1.5. PermError crypto/unsupported for all else but OAEP. */
export function oaepOf({ id, parameters }: AlgorithmIdentifier): Oaep | undefined {
  if (id === OID.rsaEncryption) return undefined
  if (id !== OID.rsaesOaep) throw unsupported(`key transport ${id}`)
  const fields = parameters ? expectTag(parameters, TAG.sequence).children : []
  const field = (tag: number): BerElement | undefined =>
    fields.find((one) => one.tag === tag)?.children[0]
  const mask = field(0xa1)
  const maskAlgorithm = mask && readAlgorithm(mask)
  if (maskAlgorithm && maskAlgorithm.id !== OID.mgf1) throw unsupported('OAEP without MGF1')
  const label = field(0xa2)
  if (label) {
    const { id: source, parameters: text } = readAlgorithm(label)
    if (source !== OID.pSpecified || octets(text).length > 0) throw unsupported('OAEP with a label')
  }
  return { hash: hashOf(field(0xa0)), maskHash: hashOf(maskAlgorithm?.parameters) }
}

/** RFC 4055 section 4.1: SHA-1, where nothing is said. */
function hashOf(algorithm: BerElement | undefined): Hash {
  if (!algorithm) return 'sha1'
  const { id } = readAlgorithm(algorithm)
  const hash = new Map<string, Hash>(Object.entries(HASHES)).get(id)
  if (!hash) throw unsupported(`OAEP with the hash ${id}`)
  return hash
}

export interface Agreement {
  readonly hash: Hash
  readonly wrap: KeyWrap
  readonly wrapAlgorithm: Uint8Array
}

/** RFC 5753 section 7.1.4: the parameters of the key agreement are the AlgorithmIdentifier of the wrap. */
export function agreementOf({ id, parameters }: AlgorithmIdentifier): Agreement {
  const hash = new Map(Object.entries(AGREEMENT_HASHES)).get(id)
  if (!hash) throw unsupported(`key agreement ${id}`)
  const algorithm = readAlgorithm(parameters)
  const wrap = new Map(Object.entries(KEY_WRAPS)).get(algorithm.id)
  if (!wrap) throw unsupported(`key wrap ${algorithm.id}`)
  return { hash, wrap, wrapAlgorithm: algorithm.bytes }
}
