// A message from stdin, whole, with the line ends that it came with.
import { PermError } from '../errors.ts'
import type { Terminal } from './terminal.ts'

const LF = 0x0a
const CR = 0x0d

/** All of a message is held in memory, so that nothing is written before all of it is sure. */
const LIMIT_BYTES = 128 * 1024 * 1024

export type LineEnd = 'lf' | 'crlf'

export interface RawMessage {
  /** Lines end with CRLF, as in mail. */
  readonly bytes: Uint8Array
  /** What its first line ended with. */
  readonly lineEnd: LineEnd
  /** As it came. */
  readonly original: Uint8Array
}

/** PermError mail/malformed if it is larger than 128 MiB. */
export async function readRawMessage(source: AsyncIterable<Uint8Array>): Promise<RawMessage> {
  const pieces: Uint8Array[] = []
  let size = 0
  for await (const piece of source) {
    size += piece.length
    if (size > LIMIT_BYTES)
      throw new PermError('mail/malformed', `the message is larger than ${LIMIT_BYTES} bytes`)
    pieces.push(piece)
  }
  const original = Buffer.concat(pieces)
  const lineEnd = lineEndOf(original)
  return { bytes: lineEnd === 'lf' ? toCrlf(original) : original, lineEnd, original }
}

export function lineEndOf(bytes: Uint8Array): LineEnd {
  const at = bytes.indexOf(LF)
  return at > 0 && bytes[at - 1] === CR ? 'crlf' : 'lf'
}

/** Each LF without a CR gets one. */
export function toCrlf(bytes: Uint8Array): Uint8Array {
  let bare = 0
  for (let at = bytes.indexOf(LF); at !== -1; at = bytes.indexOf(LF, at + 1))
    if (bytes[at - 1] !== CR) bare++
  const out = new Uint8Array(bytes.length + bare)
  let to = 0
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!
    if (byte === LF && bytes[at - 1] !== CR) out[to++] = CR
    out[to++] = byte
  }
  return out
}

/** Each CRLF becomes LF. */
export function toLf(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes.length)
  let to = 0
  for (let at = 0; at < bytes.length; at++) {
    if (bytes[at] === CR && bytes[at + 1] === LF) continue
    out[to++] = bytes[at]!
  }
  return out.subarray(0, to)
}

export async function writeMessage(
  terminal: Terminal,
  bytes: Uint8Array,
  lineEnd: LineEnd,
): Promise<void> {
  await terminal.write(lineEnd === 'lf' ? toLf(bytes) : bytes)
}
