// Where a Haraka stream is piped to: the bytes come out as an async iteration. A PassThrough does the same at several
// times the cost, and Haraka pipes line by line.
import { EventEmitter } from 'node:events'

/** As much is taken without waiting for whoever reads. */
const HELD_BYTES = 256 * 1024

export class ByteSink extends EventEmitter implements AsyncIterable<Buffer> {
  readonly writable = true
  private held: Buffer[] = []
  private heldBytes = 0
  private ended = false
  private failure: Error | undefined
  private wake: (() => void) | undefined

  /** As a Writable's: false asks the writer to wait for `drain`. */
  write(piece: Buffer): boolean {
    this.held.push(piece)
    this.heldBytes += piece.length
    this.wake?.()
    return this.heldBytes < HELD_BYTES
  }

  end(): void {
    this.ended = true
    this.wake?.()
  }

  /** Ends the iteration with this error, once what was written before is read. */
  fail(error: Error): void {
    this.failure = error
    this.wake?.()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    for (;;) {
      if (this.held.length > 0) {
        const piece = this.held.length === 1 ? this.held[0]! : Buffer.concat(this.held)
        const wasFull = this.heldBytes >= HELD_BYTES
        this.held = []
        this.heldBytes = 0
        yield piece
        if (wasFull) this.emit('drain')
        continue
      }
      if (this.failure) throw this.failure
      if (this.ended) return
      await new Promise<void>((resolve) => {
        this.wake = resolve
      })
      this.wake = undefined
    }
  }
}
