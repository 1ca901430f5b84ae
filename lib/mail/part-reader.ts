// The parts of a multipart body, read from a stream: small parts whole, the last as it comes.
import { PermError } from '../errors.ts'
import { ByteWindow } from './byte-window.ts'
import { parseFields, type Field } from './header.ts'

/** Reads a multipart body from a stream, RFC 2046 section 5.1.1: a delimiter is CRLF, `--`, the boundary. */
export class PartReader {
  private readonly source: AsyncIterator<Uint8Array>
  private readonly delimiter: string
  private readonly held = new ByteWindow()

  constructor(body: AsyncIterable<Uint8Array>, boundary: string) {
    this.source = body[Symbol.asyncIterator]()
    this.delimiter = `\r\n--${boundary}`
  }

  private async more(): Promise<void> {
    const next = await this.source.next()
    if (next.done) throw malformed('it ends before its last delimiter')
    this.held.append(next.value)
  }

  /** Text up to and without `mark`, which is taken away too. */
  private async until(mark: string, limit: number): Promise<string> {
    for (;;) {
      const at = this.held.bytes.indexOf(mark, 0, 'latin1')
      if (at > limit || (at === -1 && this.held.length > limit + mark.length)) {
        throw malformed('a part is longer than it can be')
      }
      if (at !== -1) {
        const text = this.held.take(at).toString('latin1')
        this.held.take(mark.length)
        return text
      }
      await this.more()
    }
  }

  async skipTo(first: string): Promise<void> {
    if ((await this.until(first, 1024)).trim() !== '') throw malformed('text before the first part')
  }

  async readPartHeader(limit: number): Promise<Field[]> {
    return parseFields(Buffer.from(`${await this.until('\r\n\r\n', limit)}\r\n`, 'latin1'))
  }

  async readPart(limit: number): Promise<{ fields: Field[]; body: string }> {
    const fields = await this.readPartHeader(limit)
    const body = await this.until(`${this.delimiter}\r\n`, limit)
    return { fields, body }
  }

  /** What stands before the closing delimiter; a piece is good until the next one is asked for. */
  async *contents(): AsyncGenerator<Buffer> {
    const end = `${this.delimiter}--`
    for (;;) {
      const at = this.held.bytes.indexOf(end, 0, 'latin1')
      if (at !== -1) {
        yield this.held.take(at)
        return
      }
      const safe = this.held.length - end.length
      if (safe > 0) {
        yield this.held.take(safe)
      }
      await this.more()
    }
  }
}

export function malformed(reason: string): PermError {
  return new PermError('mail/malformed', `encrypted message: ${reason}`)
}
