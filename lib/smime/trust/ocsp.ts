// Questions to an authority about one certificate, and its answers: RFC 6960, RFC 9654.
import { createHash, X509Certificate, type KeyObject } from 'node:crypto'
import { PermError } from '../../errors.ts'
import { parseCertificate, readExtensions } from '../../x509/certificate.ts'
import {
  TAG,
  expectTag,
  readElement,
  readElements,
  readObjectIdentifier,
  type Element,
} from '../../x509/der.ts'
import {
  element,
  nullValue,
  objectIdentifier,
  octetString,
  sequence,
} from '../../x509/der-writer.ts'
import { readTime } from '../../x509/time.ts'
import { keyProblem } from '../key-strength.ts'
import { isSignedBy, readSignatureAlgorithm } from '../signature-algorithm.ts'
import type { Link } from './chain.ts'

const OID = {
  sha1: '1.3.14.3.2.26',
  basicResponse: '1.3.6.1.5.5.7.48.1.1',
  nonce: '1.3.6.1.5.5.7.48.1.2',
  signing: '1.3.6.1.5.5.7.3.9',
} as const
const STATUS = { good: 0x80, revoked: 0xa1, unknown: 0x82 } as const

export interface OcspAnswer {
  readonly status: 'good' | 'revoked' | 'unknown'
  readonly thisUpdateMs: number
  /** undefined: there is news all the time, RFC 6960 section 4.2.2.1. */
  readonly nextUpdateMs: number | undefined
}

export function formatOcspRequest(link: Link, issuer: Link, nonce: Uint8Array): Uint8Array {
  const extension = sequence(objectIdentifier(OID.nonce), octetString(octetString(nonce)))
  return sequence(
    sequence(
      sequence(sequence(certificateId(link, issuer))),
      element(0xa2, sequence(extension)), // RFC 9654 section 2.1
    ),
  )
}

/** RFC 6960 section 4.1.1. SHA-1 only names the issuer, and is what every responder knows: RFC 5019 section 2.1.1. */
function certificateId({ certificate }: Link, issuer: Link): Uint8Array {
  const sha1 = (bytes: Uint8Array): Uint8Array =>
    octetString(createHash('sha1').update(bytes).digest())
  const key = readElements(readElement(issuer.certificate.publicKey).content)[1]
  return sequence(
    sequence(objectIdentifier(OID.sha1), nullValue()),
    sha1(certificate.issuer),
    sha1(expectTag(key, TAG.bitString).content.subarray(1)),
    element(TAG.integer, certificate.serialNumber),
  )
}

export interface OcspCheck {
  readonly nowMs: number
  /** What was sent. undefined: the answer was kept from earlier. */
  readonly nonce: Uint8Array | undefined
}

/** PermError for what is no answer about this certificate, or one that its issuer has not authorised. */
export function readOcspAnswer(
  der: Uint8Array,
  link: Link,
  issuer: Link,
  { nowMs, nonce }: OcspCheck,
): OcspAnswer {
  const [status, wrapper] = members(readElement(der))
  const { content: code } = expectTag(status, TAG.enumerated)
  if (code[0] !== 0) throw refused(`is the error ${code[0]}`)
  const [type, octets] = members(readElement(expectTag(wrapper, 0xa0).content))
  if (readObjectIdentifier(type) !== OID.basicResponse) throw refused('is of another type')
  const [data, algorithm, signature, certificates] = members(
    readElement(expectTag(octets, TAG.octetString).content),
  )
  const bits = expectTag(signature, TAG.bitString).content.subarray(1)
  const signed = expectTag(data, TAG.sequence).bytes
  const isAuthorised = responderKeys(certificates, issuer, nowMs).some((key) =>
    isSignedBy(key, readSignatureAlgorithm(algorithm), signed, bits),
  )
  if (!isAuthorised) throw refused('is not signed by whom the issuer has authorised')
  const fields = members(data)
  if (fields[0]?.tag === 0xa0) fields.shift() // the version
  const [, , responses, extensions] = fields
  checkNonce(extensions, nonce)
  return findAnswer(members(responses), certificateId(link, issuer))
}

/** The issuer's own, and those it has made certificates for: RFC 6960 section 4.2.2.2. Nobody asks whether these are revoked. */
function responderKeys(
  wrapper: Element | undefined,
  issuer: Link,
  nowMs: number,
): readonly KeyObject[] {
  const own = issuer.x509.publicKey
  const sent = wrapper ? members(readElement(expectTag(wrapper, 0xa0).content)).slice(0, 5) : []
  const delegated = sent.flatMap(({ bytes }) => {
    try {
      const x509 = new X509Certificate(bytes)
      const certificate = parseCertificate(bytes)
      const isFit =
        keyProblem(x509.publicKey) === undefined &&
        certificate.extendedKeyUsage?.has(OID.signing) === true &&
        certificate.keyUsage?.has('digitalSignature') !== false &&
        certificate.unknownCritical.length === 0 &&
        nowMs >= certificate.notBeforeMs &&
        nowMs <= certificate.notAfterMs &&
        Buffer.compare(certificate.issuer, issuer.certificate.subject) === 0
      readSignatureAlgorithm(readElement(certificate.signatureAlgorithmDer))
      return isFit && x509.verify(own) ? [x509.publicKey] : []
    } catch {
      return [] // no certificate that counts
    }
  })
  return [own, ...delegated]
}

/** RFC 9654 section 2.1: many responders send none, and their answers are told by their dates. */
function checkNonce(extensions: Element | undefined, nonce: Uint8Array | undefined): void {
  for (const [id, { critical, value }] of readExtensions(extensions)) {
    if (id === OID.nonce) {
      const isOurs = nonce === undefined || Buffer.compare(value, octetString(nonce)) === 0
      if (!isOurs) throw refused('is the answer to another question')
    } else if (critical) throw refused(`has ${id}, which is not known here`)
  }
}

function findAnswer(responses: readonly Element[], wanted: Uint8Array): OcspAnswer {
  for (const response of responses) {
    const [id, status, thisUpdate, ...rest] = members(response)
    if (!isAbout(expectTag(id, TAG.sequence), wanted)) continue
    const next = rest.find(({ tag }) => tag === 0xa0)
    for (const [name, { critical }] of readExtensions(rest.find(({ tag }) => tag === 0xa1)))
      if (critical) throw refused(`has ${name}, which is not known here`)
    return {
      status: statusOf(status),
      thisUpdateMs: readTime(thisUpdate),
      nextUpdateMs: next && readTime(readElement(next.content)),
    }
  }
  throw refused('is about another certificate')
}

/** NULL or nothing behind the digest's name is the same. */
function isAbout(id: Element, wanted: Uint8Array): boolean {
  const [digest, ...own] = members(id)
  const [, ...others] = members(readElement(wanted))
  return (
    readObjectIdentifier(members(digest)[0]) === OID.sha1 &&
    own.length === others.length &&
    own.every(({ bytes }, at) => Buffer.compare(bytes, others[at]?.bytes ?? bytes) === 0)
  )
}

function statusOf(status: Element | undefined): OcspAnswer['status'] {
  if (status?.tag === STATUS.good) return 'good'
  if (status?.tag === STATUS.revoked) return 'revoked'
  if (status?.tag === STATUS.unknown) return 'unknown'
  throw refused('has a status that is none')
}

function members(one: Element | undefined): Element[] {
  return readElements(expectTag(one, TAG.sequence).content)
}

function refused(what: string): PermError {
  return new PermError('crypto/unsupported', `the answer by OCSP ${what}`)
}
