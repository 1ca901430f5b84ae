// DNS messages to and from bytes (RFC 1035, EDNS(0) of RFC 6891). The one importer of the codec.
import { isIPv4, isIPv6 } from 'node:net'
import {
  AUTHENTIC_DATA,
  RECURSION_DESIRED,
  decode,
  encode,
  type Answer as Resource,
  type DecodedPacket,
  type Question,
} from 'dns-packet'
import { messageEnd } from './framing.ts'
import { sameName } from './name.ts'
import type { RecordType, RecordTypes, SmimeaRecord } from './records.ts'

/** What is left of the least MTU of IPv6 (1280 bytes, RFC 8200 section 5) after the headers. */
const UDP_PAYLOAD_BYTES = 1232

export interface Query {
  readonly id: number
  readonly name: string
  readonly type: RecordType
  /** Whether an OPT record goes along. */
  readonly edns: boolean
}

/** One resource record: of a type we understand, or left out. */
export type ResponseRecord<T extends RecordType = RecordType> = {
  [K in T]: {
    readonly type: K
    readonly name: string
    readonly ttlSeconds: number
    readonly data: RecordTypes[K]
  }
}[T]

export interface Response {
  /** With the upper bits of the OPT record, RFC 6891 section 6.1.3. */
  readonly code: number
  readonly truncated: boolean
  readonly authenticData: boolean
  readonly answers: readonly ResponseRecord[]
  /** min(TTL, MINIMUM) of the SOA in the authority section, RFC 2308 section 5. */
  readonly negativeTtlSeconds: number | undefined
  /** Points elsewhere instead of answering: NS without SOA in the authority section, RFC 2308 section 2.2. */
  readonly referral: boolean
}

/** A response, and whether the AD bit in it is believed. */
export interface Reply {
  readonly response: Response
  readonly trusted: boolean
}

export const RCODE = {
  noError: 0,
  formErr: 1,
  nxDomain: 3,
  notImp: 4,
  refused: 5,
  badVers: 16,
} as const

/** Types that the codec knows by number alone (RFC 3597), which its declarations do not say. */
const BY_NUMBER: Partial<Record<RecordType, string>> = {
  OPENPGPKEY: 'UNKNOWN_61', // RFC 7929 section 2
  SMIMEA: 'UNKNOWN_53', // RFC 8162 section 2
}

export function formatQuery({ id, name, type, edns }: Query): Uint8Array {
  const question: Question = { type: 'NULL', name, class: 'IN' }
  Object.assign(question, { type: BY_NUMBER[type] ?? type })
  return encode({
    type: 'query',
    id,
    flags: RECURSION_DESIRED | AUTHENTIC_DATA, // AD asks for AD in the answer: RFC 6840 section 5.7
    questions: [question],
    additionals: edns
      ? [
          {
            type: 'OPT',
            name: '.',
            udpPayloadSize: UDP_PAYLOAD_BYTES,
            extendedRcode: 0,
            ednsVersion: 0,
            flags: 0,
            flag_do: false,
            options: [],
          },
        ]
      : [],
  })
}

/**
 * The response to this query, `stray` if the bytes answer something else (RFC 5452 section 9.1), or `broken` if they
 * claim our id but cannot be read.
 */
export function parseResponse(bytes: Uint8Array, query: Query): Response | 'stray' | 'broken' {
  if (bytes.length < 12) return 'stray'
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint16(0) !== query.id || (view.getUint8(2) & 0xf8) !== 0x80) return 'stray' // QR set, opcode 0
  const packet = decodeWhole(bytes)
  if (packet === undefined) {
    // Cut in the midst of a record, perhaps; what counts is that TCP has it whole: RFC 2181 section 9.
    const truncated = (view.getUint8(2) & 0x02) !== 0
    return truncated ? emptyResponse(RCODE.noError, { truncated }) : 'broken'
  }
  const code = responseCode(packet)
  const [question, ...more] = packet.questions ?? []
  if (question === undefined) {
    // An old server that chokes on EDNS may send back the header alone: RFC 6891 section 7.
    if (code === RCODE.formErr || code === RCODE.notImp)
      return emptyResponse(code, { truncated: false })
    return 'stray'
  }
  const type: string = question.type
  const ours =
    more.length === 0 &&
    type === (BY_NUMBER[query.type] ?? query.type) &&
    question.class === 'IN' &&
    sameName(question.name, query.name)
  return ours ? readResponse(packet, code) : 'stray'
}

function decodeWhole(bytes: Uint8Array): DecodedPacket | undefined {
  try {
    const end = messageEnd(bytes)
    const packet = decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
    return decode.bytes === end ? packet : undefined
  } catch {
    return undefined // the codec throws whatever comes to it
  }
}

function readResponse(packet: DecodedPacket, code: number): Response {
  const authorities = packet.authorities ?? []
  const soa = authorities.find((record) => record.type === 'SOA')
  return {
    code,
    truncated: packet.flag_tc,
    authenticData: packet.flag_ad,
    answers: (packet.answers ?? []).flatMap(readRecord),
    negativeTtlSeconds: soa && Math.min(ttlOf(soa), soa.data.minimum ?? 0),
    referral: !soa && authorities.some((record) => record.type === 'NS'),
  }
}

function emptyResponse(code: number, { truncated }: { truncated: boolean }): Response {
  return {
    code,
    truncated,
    authenticData: false,
    answers: [],
    negativeTtlSeconds: undefined,
    referral: false,
  }
}

function responseCode(packet: DecodedPacket): number {
  const opt = packet.additionals?.find((record) => record.type === 'OPT')
  return ((opt?.extendedRcode ?? 0) << 4) | ((packet.flags ?? 0) & 0xf)
}

function readRecord(record: Resource): ResponseRecord[] {
  if (record.type === 'OPT' || record.class !== 'IN' || record.flush) return []
  const { name } = record
  const ttlSeconds = ttlOf(record)
  const type: string = record.type
  if (record.type === 'A') {
    return isIPv4(record.data) ? [{ type: 'A', name, ttlSeconds, data: record.data }] : []
  }
  if (record.type === 'AAAA') {
    return isIPv6(record.data) ? [{ type: 'AAAA', name, ttlSeconds, data: record.data }] : []
  }
  if (record.type === 'CNAME') return [{ type: 'CNAME', name, ttlSeconds, data: record.data }]
  if (record.type === 'MX') {
    const { preference = 0, exchange } = record.data
    return [{ type: 'MX', name, ttlSeconds, data: { preference, exchange } }]
  }
  if (record.type === 'TLSA') {
    const certificate = Uint8Array.from(record.data.certificate)
    return [{ type: 'TLSA', name, ttlSeconds, data: { ...record.data, certificate } }]
  }
  if (record.type === 'TXT') {
    return [{ type: 'TXT', name, ttlSeconds, data: readStrings(record.data) }]
  }
  if (type === BY_NUMBER.OPENPGPKEY && record.data instanceof Uint8Array) {
    return [{ type: 'OPENPGPKEY', name, ttlSeconds, data: Uint8Array.from(record.data) }]
  }
  if (type === BY_NUMBER.SMIMEA && record.data instanceof Uint8Array) {
    const data = readSmimea(record.data)
    return data ? [{ type: 'SMIMEA', name, ttlSeconds, data }] : []
  }
  return []
}

function readSmimea(bytes: Uint8Array): SmimeaRecord | undefined {
  const [usage, selector, matchingType, ...rest] = bytes
  if (usage === undefined || selector === undefined || matchingType === undefined) return undefined
  return { usage, selector, matchingType, certificate: Uint8Array.from(rest) }
}

function readStrings(data: string | Buffer | (string | Buffer)[]): Uint8Array[] {
  const strings = Array.isArray(data) ? data : [data]
  return strings.map((part) => Uint8Array.from(Buffer.from(part)))
}

function ttlOf(record: { readonly ttl?: number | undefined }): number {
  const ttl = record.ttl ?? 0
  return ttl > 0x7f_ff_ff_ff ? 0 : ttl // RFC 2181 section 8
}
