// A DNS server on the loopback, UDP and TCP on one port, that answers from a zone literal and misbehaves on request.
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, isIPv6, type Server, type Socket } from 'node:net'
import {
  AUTHENTIC_DATA,
  RECURSION_AVAILABLE,
  RECURSION_DESIRED,
  TRUNCATED_RESPONSE,
  decode,
  encode,
  type Answer,
  type DecodedPacket,
  type Packet,
} from 'dns-packet'

export type Misbehaviour =
  | 'servfail'
  | 'refused'
  /** No answer at all. */
  | 'drop'
  /** TC over UDP, the whole answer over TCP. */
  | 'truncate'
  /** TC over UDP with the answer cut in the midst of a record, the whole answer over TCP. */
  | 'truncate-within'
  /** TC over UDP and over TCP. */
  | 'truncate-always'
  /** An answer with another id, and nothing after it. */
  | 'wrong-id'
  /** An answer to another name. */
  | 'wrong-question'
  /** An answer for another type. */
  | 'wrong-type'
  /** The query itself comes back: QR is not set. */
  | 'echo'
  /** Bytes that are no DNS message. */
  | 'garbage'
  /** A right header and then bytes that are no DNS message. */
  | 'broken'
  /** FORMERR to a query with an OPT record. */
  | 'no-edns'
  /** NS records instead of an answer. */
  | 'referral'
  /** Only the first CNAME of a chain, although more is known. */
  | 'cname-only'
  /** TC over UDP, and over TCP the answer byte by byte. */
  | 'trickle'
  /** TC over UDP, and over TCP the end of the connection within the answer. */
  | 'hang-up'
  /** TC over UDP, and over TCP messages without end that answer nothing. */
  | 'flood'

export interface Soa {
  readonly ttl: number
  readonly minimum: number
}

export interface ZoneEntry {
  readonly A?: readonly string[]
  readonly AAAA?: readonly string[]
  readonly CNAME?: string
  /** `10 mx.example.com` */
  readonly MX?: readonly string[]
  /** `3 1 1 <hex>` */
  readonly TLSA?: readonly string[]
  /** A certificate each. */
  readonly OPENPGPKEY?: readonly Uint8Array[]
  /** `3 0 0 <hex>` */
  readonly SMIMEA?: readonly string[]
  /** One text a record, cut into strings of 255 bytes; or the strings themselves. */
  readonly TXT?: readonly (string | readonly (string | Uint8Array)[])[]
  /** Of each record, in seconds. Default 300. */
  readonly ttl?: number
  /** Whether answers here have the AD bit, those that say "no such thing" below this name included. */
  readonly authentic?: boolean
  /** What negative answers at and below this name carry. Default: a TTL of 300 and a minimum of 60. */
  readonly soa?: Soa | 'none'
  readonly misbehave?: Misbehaviour
  /** How often it misbehaves before it answers well. Default: always. */
  readonly times?: number
  readonly delayMs?: number
}

export type Zone = Record<string, ZoneEntry>

export interface LoggedQuery {
  readonly name: string
  readonly type: string
  readonly protocol: 'udp' | 'tcp'
  readonly id: number
  /** The port that the query came from. */
  readonly port: number
  readonly recursionDesired: boolean
  readonly authenticData: boolean
  /** Without an OPT record: undefined. */
  readonly udpPayloadBytes: number | undefined
}

export interface DnsServer {
  readonly address: string
  readonly port: number
  /** May be changed at any time. */
  readonly zone: Zone
  readonly queries: LoggedQuery[]
  close(): Promise<void>
}

type Send = (message: Uint8Array, how?: 'trickle' | 'hang-up') => void

const RCODE = { formErr: 1, servFail: 2, nxDomain: 3, refused: 5 } as const
const DEFAULT_SOA: Soa = { ttl: 300, minimum: 60 }
const DEFAULT_TTL_SECONDS = 300
const MAX_ALIASES = 16
const PLAIN_UDP_BYTES = 512

export async function startDnsServer(
  zone: Zone = {},
  { address = '127.0.0.1', port = 0 }: { address?: string; port?: number } = {},
): Promise<DnsServer> {
  const queries: LoggedQuery[] = []
  const misbehaved = new Map<ZoneEntry, number>()
  const timers = new Set<NodeJS.Timeout>()
  const connections = new Set<Socket>()

  const answer = (bytes: Uint8Array, protocol: 'udp' | 'tcp', from: number, send: Send): void => {
    const query = tryDecode(bytes)
    const question = query?.questions?.[0]
    if (!query || !question || query.flag_qr) return
    queries.push(logged(query, protocol, from))
    const entry = lookUp(zone, question.name)
    const reply = (): void => respond(zone, query, misbehaviour(misbehaved, entry), protocol, send)
    if (entry?.delayMs === undefined) return reply()
    const timer = setTimeout(() => {
      timers.delete(timer)
      reply()
    }, entry.delayMs)
    timers.add(timer)
  }

  const udpHandler = (socket: UdpSocket) => (bytes: Uint8Array, peer: RemoteInfo) =>
    answer(bytes, 'udp', peer.port, (message) => socket.send(message, peer.port, peer.address))
  const tcpHandler = (connection: Socket): void => {
    connections.add(connection)
    connection.on('close', () => connections.delete(connection))
    connection.on('error', () => connection.destroy())
    let received = Buffer.alloc(0)
    connection.on('data', (piece) => {
      received = Buffer.concat([received, piece])
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const message = received.subarray(2, 2 + received.readUInt16BE(0))
        received = received.subarray(2 + message.length)
        answer(message, 'tcp', connection.remotePort ?? 0, sendFramed(connection))
      }
    })
  }

  const { udp, tcp, bound } = await bindBoth(address, port, udpHandler, tcpHandler)
  return {
    address,
    port: bound,
    zone,
    queries,
    async close() {
      for (const timer of timers) clearTimeout(timer)
      for (const connection of connections) connection.destroy()
      const closed = [once(udp, 'close'), once(tcp, 'close')]
      udp.close()
      tcp.close()
      await Promise.all(closed)
    },
  }
}

/** TCP takes a free port; if UDP has it not free, both try another one. */
async function bindBoth(
  address: string,
  wanted: number,
  udpHandler: (socket: UdpSocket) => (bytes: Uint8Array, peer: RemoteInfo) => void,
  tcpHandler: (connection: Socket) => void,
): Promise<{ udp: UdpSocket; tcp: Server; bound: number }> {
  for (let attempt = 1; ; attempt += 1) {
    const tcp = createServer(tcpHandler)
    tcp.listen(wanted, address)
    await once(tcp, 'listening')
    const place = tcp.address()
    const bound = typeof place === 'object' && place ? place.port : wanted
    const udp = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
    udp.on('message', udpHandler(udp))
    udp.bind(bound, address)
    try {
      await once(udp, 'listening')
      udp.on('error', () => undefined) // a client that is gone already
      return { udp, tcp, bound }
    } catch (error) {
      udp.close()
      tcp.close()
      if (attempt === 10 || wanted !== 0) throw error
    }
  }
}

function respond(
  zone: Zone,
  query: DecodedPacket,
  misbehave: Misbehaviour | undefined,
  protocol: 'udp' | 'tcp',
  send: Send,
): void {
  const good = (): Packet => honestAnswer(zone, query, misbehave === 'cname-only')
  const id = query.id ?? 0
  switch (misbehave) {
    case 'servfail':
      return send(encode(failure(query, RCODE.servFail)))
    case 'refused':
      return send(encode(failure(query, RCODE.refused)))
    case 'drop':
      return
    case 'truncate-always':
      return send(encode(truncated(good())))
    case 'truncate-within': {
      const whole = encode({ ...good(), additionals: [] })
      if (protocol === 'tcp') return send(whole)
      whole.writeUInt16BE(whole.readUInt16BE(2) | TRUNCATED_RESPONSE, 2)
      return send(whole.subarray(0, -1))
    }
    case 'truncate':
    case 'trickle':
    case 'hang-up':
      if (protocol === 'udp') return send(encode(truncated(good())))
      return send(encode(good()), misbehave === 'truncate' ? undefined : misbehave)
    case 'flood':
      if (protocol === 'udp') return send(encode(truncated(good())))
      for (let i = 0; i < 3; i += 1) send(Buffer.alloc(65_535))
      return
    case 'wrong-id':
      return send(encode({ ...good(), id: id ^ 1 }))
    case 'wrong-question':
      return send(encode({ ...good(), questions: [{ type: 'TXT', name: 'other.example' }] }))
    case 'wrong-type':
      return send(
        encode({
          ...good(),
          questions: [{ type: 'SRV', name: query.questions?.[0]?.name ?? '' }],
        }),
      )
    case 'echo':
      return send(encode({ ...query, type: 'query' }))
    case 'garbage':
      return send(Buffer.from('this is no DNS message'))
    case 'broken':
      return send(Buffer.concat([encode(good()).subarray(0, 12), Buffer.alloc(9, 0xbf)]))
    case 'no-edns':
      return send(encode(optOf(query) ? failure(query, RCODE.formErr) : good()))
    case 'referral':
      return send(
        encode({
          ...good(),
          answers: [],
          authorities: [{ type: 'NS', name: 'example', data: 'ns.example' }],
        }),
      )
    case 'cname-only':
    case undefined:
      return send(fitting(good(), query, protocol))
  }
}

function honestAnswer(zone: Zone, query: DecodedPacket, firstAliasOnly: boolean): Packet {
  const question = query.questions?.[0]
  if (!question) return failure(query, RCODE.formErr)
  const answers: Answer[] = []
  let authentic = true
  let name = question.name.toLowerCase()
  for (let hop = 0; hop < MAX_ALIASES; hop += 1) {
    const entry = lookUp(zone, name)
    authentic &&= closest(zone, name)?.authentic ?? false
    const records = entry ? encodeRecords(name, entry, question.type) : []
    answers.push(...records)
    if (records.length > 0 || entry?.CNAME === undefined) break
    answers.push({ type: 'CNAME', name, ttl: entry.ttl ?? DEFAULT_TTL_SECONDS, data: entry.CNAME })
    name = entry.CNAME.toLowerCase()
    if (firstAliasOnly) break
  }
  const found = answers.some((record) => record.type === question.type)
  const nxDomain = !found && !firstAliasOnly && !exists(zone, name)
  const opt = optOf(query)
  // AD only to those who asked for it, by AD or by DO: RFC 6840 section 5.8.
  const asked = query.flag_ad || opt?.flag_do === true
  return {
    ...header(query, nxDomain ? RCODE.nxDomain : 0, authentic && asked ? AUTHENTIC_DATA : 0),
    answers,
    authorities: found || firstAliasOnly ? [] : soaOf(zone, name),
  }
}

function header(query: DecodedPacket, code: number, flags: number): Packet {
  return {
    type: 'response',
    id: query.id ?? 0,
    flags: RECURSION_DESIRED | RECURSION_AVAILABLE | flags | code,
    questions: query.questions ?? [],
    additionals: optOf(query)
      ? [
          {
            type: 'OPT',
            name: '.',
            udpPayloadSize: 1232,
            extendedRcode: 0,
            ednsVersion: 0,
            flags: 0,
            flag_do: false,
            options: [],
          },
        ]
      : [],
  }
}

function failure(query: DecodedPacket, code: number): Packet {
  return header(query, code, 0)
}

function truncated(packet: Packet): Packet {
  const flags = (packet.flags ?? 0) | TRUNCATED_RESPONSE
  return { ...packet, flags, answers: [], authorities: [] }
}

/** As it is over TCP; over UDP cut to what the client takes: RFC 6891 section 6.2.5. */
function fitting(packet: Packet, query: DecodedPacket, protocol: 'udp' | 'tcp'): Uint8Array {
  const bytes = encode(packet)
  const limit = Math.max(PLAIN_UDP_BYTES, optOf(query)?.udpPayloadSize ?? 0)
  return protocol === 'udp' && bytes.length > limit ? encode(truncated(packet)) : bytes
}

function encodeRecords(name: string, entry: ZoneEntry, type: string): Answer[] {
  const ttl = entry.ttl ?? DEFAULT_TTL_SECONDS
  switch (type) {
    case 'A':
      return (entry.A ?? []).map((data) => ({ type: 'A', name, ttl, data }))
    case 'AAAA':
      return (entry.AAAA ?? []).map((data) => ({ type: 'AAAA', name, ttl, data }))
    case 'CNAME':
      return entry.CNAME === undefined ? [] : [{ type: 'CNAME', name, ttl, data: entry.CNAME }]
    case 'MX':
      return (entry.MX ?? []).map((text) => {
        const [preference = '', exchange = ''] = text.split(' ')
        return { type: 'MX', name, ttl, data: { preference: Number(preference), exchange } }
      })
    case 'TLSA':
      return (entry.TLSA ?? []).map((text) => {
        const [usage, selector, matchingType, hex = ''] = text.split(' ')
        const certificate = Buffer.from(hex, 'hex')
        const numbers = {
          usage: Number(usage),
          selector: Number(selector),
          matchingType: Number(matchingType),
        }
        return { type: 'TLSA', name, ttl, data: { ...numbers, certificate } }
      })
    case 'UNKNOWN_61':
      return (entry.OPENPGPKEY ?? []).map((key) => unknown(type, name, ttl, key))
    case 'UNKNOWN_53':
      return (entry.SMIMEA ?? []).map((text) => {
        const [usage, selector, matchingType, hex = ''] = text.split(' ')
        const numbers = [usage, selector, matchingType].map(Number)
        return unknown(
          type,
          name,
          ttl,
          Buffer.concat([Buffer.of(...numbers), Buffer.from(hex, 'hex')]),
        )
      })
    case 'TXT':
      return (entry.TXT ?? []).map((text) => ({ type: 'TXT', name, ttl, data: strings(text) }))
    default:
      return []
  }
}

/** Of a type that the codec does not know. */
function unknown(type: string, name: string, ttl: number, data: Uint8Array): Answer {
  const answer: Answer = { type: 'NULL', name, ttl, data: Buffer.from(data) }
  return Object.assign(answer, { type })
}

function strings(text: string | readonly (string | Uint8Array)[]): Buffer[] {
  if (typeof text !== 'string') return text.map((part) => Buffer.from(part))
  const bytes = Buffer.from(text)
  const count = Math.max(1, Math.ceil(bytes.length / 255))
  return Array.from({ length: count }, (_, i) => bytes.subarray(i * 255, (i + 1) * 255))
}

function soaOf(zone: Zone, name: string): Answer[] {
  const soa = closest(zone, name, 'soa')?.soa ?? DEFAULT_SOA
  if (soa === 'none') return []
  const data = { mname: 'ns.example', rname: 'hostmaster.example', minimum: soa.minimum }
  return [{ type: 'SOA', name: 'example', ttl: soa.ttl, data }]
}

function lookUp(zone: Zone, name: string): ZoneEntry | undefined {
  const wanted = name.toLowerCase()
  return Object.entries(zone).find(([owner]) => owner.toLowerCase() === wanted)?.[1]
}

/** The entry at the name or at the nearest name above it, of those that have the property. */
function closest(zone: Zone, name: string, property?: 'soa'): ZoneEntry | undefined {
  const entry = lookUp(zone, name)
  if (entry && (property === undefined || entry[property] !== undefined)) return entry
  const dot = name.indexOf('.')
  return dot === -1 ? undefined : closest(zone, name.slice(dot + 1), property)
}

/** A name exists too when there is something below it: RFC 8020. */
function exists(zone: Zone, name: string): boolean {
  return Object.keys(zone).some((owner) => `.${owner.toLowerCase()}`.endsWith(`.${name}`))
}

function misbehaviour(
  counts: Map<ZoneEntry, number>,
  entry: ZoneEntry | undefined,
): Misbehaviour | undefined {
  if (!entry?.misbehave) return undefined
  const before = counts.get(entry) ?? 0
  counts.set(entry, before + 1)
  return before < (entry.times ?? Infinity) ? entry.misbehave : undefined
}

function optOf(query: DecodedPacket): Extract<Answer, { type: 'OPT' }> | undefined {
  return query.additionals?.find((record) => record.type === 'OPT')
}

function logged(query: DecodedPacket, protocol: 'udp' | 'tcp', port: number): LoggedQuery {
  const question = query.questions?.[0]
  return {
    name: question?.name ?? '',
    type: question?.type ?? '',
    protocol,
    id: query.id ?? 0,
    port,
    recursionDesired: query.flag_rd,
    authenticData: query.flag_ad,
    udpPayloadBytes: optOf(query)?.udpPayloadSize,
  }
}

function sendFramed(connection: Socket): Send {
  return (message, how) => {
    const length = Buffer.alloc(2)
    length.writeUInt16BE(message.length)
    const framed = Buffer.concat([length, message])
    if (how === 'hang-up') return void connection.end(framed.subarray(0, framed.length >> 1))
    if (how === undefined) return void connection.write(framed)
    connection.setNoDelay(true)
    writeSlowly(connection, framed)
  }
}

function writeSlowly(connection: Socket, bytes: Uint8Array): void {
  if (bytes.length === 0 || connection.destroyed) return
  connection.write(bytes.subarray(0, 1), () => writeSlowly(connection, bytes.subarray(1)))
}

function tryDecode(bytes: Uint8Array): DecodedPacket | undefined {
  try {
    return decode(Buffer.from(bytes))
  } catch {
    return undefined
  }
}

/** A port that was free a moment ago, for UDP and for TCP. */
export async function freeDnsPort(): Promise<number> {
  const server = await startDnsServer()
  await server.close()
  return server.port
}
