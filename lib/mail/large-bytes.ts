// Large messages in memory once: an array that grows without copies of itself, and that is given back at once. What is left to
// the collector of garbage stays for tens of megabytes more, in each thread.
import type { ByteSource } from './message.ts'

/** What is smaller is not worth pages of its own. */
export const LARGE_BYTES = 1024 * 1024
const GROWTH_BYTES = 1024 * 1024
/** What is given out at once of a large array. */
const PIECE_BYTES = 64 * 1024

/** Bytes as they come. `limit`: how many they may be; that there are no more is the caller's to see. */
export class GrowingBytes {
  readonly #limit: number
  #small: Uint8Array[] = []
  /** So long only room in the space of addresses: none of it is memory before it is written. */
  #large: ArrayBuffer | undefined
  #length = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  get length(): number {
    return this.#length
  }

  append(bytes: Uint8Array): void {
    if (this.#large === undefined && this.#length + bytes.length < LARGE_BYTES)
      this.#small.push(bytes)
    else new Uint8Array(this.#room(bytes.length), this.#length).set(bytes)
    this.#length += bytes.length
  }

  /** How many octets it was. Node passes over what is no base64. */
  appendBase64(text: string): number {
    const most = Math.ceil((text.length * 3) / 4)
    let written: number
    if (this.#large === undefined && this.#length + most < LARGE_BYTES) {
      const bytes = Buffer.from(text, 'base64')
      this.#small.push(bytes)
      written = bytes.length
    } else written = Buffer.from(this.#room(most)).write(text, this.#length, 'base64')
    this.#length += written
    return written
  }

  /** All of it; nothing can be added any more. */
  take(): Uint8Array {
    if (this.#large === undefined) return Buffer.concat(this.#small)
    this.#large.resize(this.#length)
    return new Uint8Array(this.#large, 0, this.#length)
  }

  #room(more: number): ArrayBuffer {
    const needed = this.#length + more
    if (this.#large === undefined) {
      const maxByteLength = Math.max(this.#limit, needed) + GROWTH_BYTES
      this.#large = new ArrayBuffer(Math.min(needed + GROWTH_BYTES, maxByteLength), {
        maxByteLength,
      })
      const bytes = new Uint8Array(this.#large)
      let at = 0
      for (const piece of this.#small) {
        bytes.set(piece, at)
        at += piece.length
      }
      this.#small = []
    }
    if (this.#large.byteLength < needed)
      this.#large.resize(Math.min(needed + GROWTH_BYTES, this.#large.maxByteLength))
    return this.#large
  }
}

/** As `collect`. `tooLong`: what is thrown for more than `limit` octets. */
export async function collectWithin(
  source: ByteSource,
  limit: number,
  tooLong: () => Error,
): Promise<Uint8Array> {
  const all = new GrowingBytes(limit)
  for await (const piece of source) {
    if (all.length + piece.length > limit) throw tooLong()
    all.append(piece)
  }
  return all.take()
}

/** One part of a large array, which moves to its front; the rest is given back. Nothing else may look at it any more. */
export function keepOnly(part: Uint8Array): Uint8Array {
  const { buffer, byteOffset, length } = part
  if (!(buffer instanceof ArrayBuffer) || !buffer.resizable) return part
  new Uint8Array(buffer).copyWithin(0, byteOffset, byteOffset + length)
  buffer.resize(length)
  return new Uint8Array(buffer, 0, length)
}

/** The pieces as one: those of a large array move together in it, of all others it is a copy. */
export function inOnePiece(pieces: readonly Uint8Array[]): Uint8Array {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
  const [{ buffer, byteOffset } = new Uint8Array()] = pieces
  const isLarge = buffer instanceof ArrayBuffer && buffer.resizable
  const all =
    isLarge && pieces.every((piece) => piece.buffer === buffer)
      ? new Uint8Array(buffer, byteOffset, length)
      : new Uint8Array(length)
  let at = 0
  for (const piece of pieces) {
    all.set(piece, at) // to the front, where nothing is that is still to come
    at += piece.length
  }
  return all
}

/** Gives back what a large array takes. */
export function release({ buffer }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.resizable) buffer.resize(0)
}

/** In pieces, none of which is copied: for whoever would copy the whole. */
export function* piecesOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES)
}
