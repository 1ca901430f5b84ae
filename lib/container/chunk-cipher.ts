// What the STREAM of a payload needs of a cipher, whichever it is.

/** Has the key of one file, and uses a nonce once. */
export interface ChunkCipher {
  /** By how much a full chunk grows. */
  readonly overheadBytes: number
  /** How many times the time of ChaCha20-Poly1305 it may take: it must not keep the server from all else for longer. */
  readonly slowness: number
  /** The pieces of the sealed chunk, one after the other. */
  seal(nonce: Uint8Array, chunk: Uint8Array): Iterable<Uint8Array>
  /** undefined: altered, cut off, or not of this place. */
  open(nonce: Uint8Array, sealed: Uint8Array): Uint8Array | undefined
  wipe(): void
}
