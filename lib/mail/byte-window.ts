// What is looked at of a stream, in one piece of memory that is used again: a new one for each piece would be garbage as long as
// the stream.

const LEAST_ROOM_BYTES = 16 * 1024

export class ByteWindow {
  #room: Buffer = Buffer.alloc(0)
  #from = 0
  #to = 0

  get length(): number {
    return this.#to - this.#from
  }

  /** Good until something is appended. */
  get bytes(): Buffer {
    return this.#room.subarray(this.#from, this.#to)
  }

  append(piece: Uint8Array): void {
    const { length } = this
    const needed = length + piece.length
    if (this.#to + piece.length > this.#room.length) {
      const room =
        needed <= this.#room.length
          ? this.#room
          : Buffer.allocUnsafeSlow(Math.max(needed * 2, LEAST_ROOM_BYTES))
      this.#room.copy(room, 0, this.#from, this.#to)
      this.#room = room
      this.#from = 0
      this.#to = length
    }
    this.#room.set(piece, this.#to)
    this.#to += piece.length
  }

  /** The first octets, which are left behind. As `bytes`. */
  take(length: number): Buffer {
    const taken = this.#room.subarray(this.#from, this.#from + length)
    this.#from += length
    return taken
  }
}
