// Pieces of any size in, exact amounts out. A piece is copied once at most, and not at all when it holds
// the whole amount asked for.

/** A stream of bytes. A piece must not be changed after it was handed over: views of it are still in use. */
export type Bytes = AsyncIterable<Uint8Array> | Iterable<Uint8Array>

const LF = 0x0a

export class ByteReader {
  readonly #source: AsyncIterator<Uint8Array> | Iterator<Uint8Array>
  #piece: Uint8Array = new Uint8Array(0)
  #gathered: Uint8Array = new Uint8Array(0)
  #ended = false

  constructor(source: Bytes) {
    this.#source =
      Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
  }

  /** Whether every byte was read. Waits for the next piece to know. */
  async atEnd(): Promise<boolean> {
    while (this.#piece.length === 0) {
      if (this.#ended) return true
      // Set before waiting: a source that throws is over, and close() must not call it again.
      this.#ended = true
      const next = await this.#source.next()
      if (next.done === true) return true
      this.#ended = false
      this.#piece = next.value
    }
    return false
  }

  /**
   * The next bytes, fewer than asked only at the end. A view of an input piece or of a buffer that the next
   * read uses again: do not keep it, do not write it.
   */
  async read(sizeBytes: number): Promise<Uint8Array> {
    if (this.#piece.length < sizeBytes && (await this.atEnd())) return new Uint8Array(0)
    if (this.#piece.length >= sizeBytes) return this.#take(sizeBytes)
    const parts: Uint8Array[] = []
    let filled = 0
    while (filled < sizeBytes) {
      if (this.#piece.length === 0 && (await this.atEnd())) break
      const part = this.#take(Math.min(this.#piece.length, sizeBytes - filled))
      parts.push(part)
      filled += part.length
    }
    return parts.length === 1 ? parts[0]! : this.#gather(parts, filled, sizeBytes)
  }

  // A new buffer for every 64 KiB would cost about as much time as the cipher does, and one of 64 KiB for a small
  // message as much as all the rest.
  #gather(parts: readonly Uint8Array[], filled: number, sizeBytes: number): Uint8Array {
    if (this.#gathered.length < filled) {
      this.#gathered.fill(0)
      this.#gathered = new Uint8Array(filled < sizeBytes ? filled : sizeBytes)
    }
    let at = 0
    for (const part of parts) {
      this.#gathered.set(part, at)
      at += part.length
    }
    return this.#gathered.subarray(0, filled)
  }

  /** Everything that was not read, piece by piece as it comes. Closes the source. */
  async *rest(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      while (!(await this.atEnd())) yield this.#take(this.#piece.length)
    } finally {
      await this.close()
    }
  }

  /** The next octet, left where it is; undefined at the end. */
  async peek(): Promise<number | undefined> {
    return (await this.atEnd()) ? undefined : this.#piece[0]
  }

  /**
   * The next line, one character a byte, without its LF. `ended` says that an LF was there; it is false at the
   * end of the input and for a line longer than `maxBytes`, which is cut there.
   */
  async readLine(maxBytes: number): Promise<{ readonly text: string; readonly ended: boolean }> {
    let text = ''
    while (!(await this.atEnd())) {
      const room = maxBytes - text.length
      const at = this.#piece.subarray(0, room + 1).indexOf(LF)
      if (at !== -1) {
        text += latin1(this.#take(at))
        this.#take(1)
        return { text, ended: true }
      }
      text += latin1(this.#take(Math.min(this.#piece.length, room)))
      if (text.length === maxBytes && !(await this.atEnd()) && this.#piece[0] !== LF) break
    }
    return { text, ended: false }
  }

  /** The next line if it is at hand whole, without waiting: half a million of them are in 32 MB of armor. */
  lineAtHand(maxBytes: number): string | undefined {
    const at = this.#piece.indexOf(LF)
    if (at === -1 || at > maxBytes) return undefined
    const text = latin1(this.#piece.subarray(0, at))
    this.#take(at + 1)
    return text
  }

  /** Tells the source that no more is wanted, so that it can close its file or socket. Wipes what was gathered. */
  async close(): Promise<void> {
    this.#gathered.fill(0)
    this.#piece = new Uint8Array(0)
    if (this.#ended) return
    this.#ended = true
    await this.#source.return?.()
  }

  #take(sizeBytes: number): Uint8Array {
    const taken = this.#piece.subarray(0, sizeBytes)
    this.#piece = this.#piece.subarray(sizeBytes)
    return taken
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}
