// The body of an answer, up to a limit.
import type { IncomingMessage } from 'node:http'

/** undefined: it is longer, and was left there. */
export async function readBounded(
  response: IncomingMessage,
  maxBytes: number,
): Promise<Uint8Array | undefined> {
  const pieces: Buffer[] = []
  let size = 0
  for await (const piece of response) {
    const bytes: Buffer = piece
    size += bytes.length
    if (size > maxBytes) return undefined
    pieces.push(bytes)
  }
  return Uint8Array.from(Buffer.concat(pieces))
}
