// Copies of protected fields at the start of a text, made for readers that know no header protection, are taken away:
// RFC 9788 section 4.5.3. Everything else keeps its bytes.
import { isInBase64 } from './base64-body.ts'
import { contentTypeOf } from './content-type.ts'
import { findBlankLine, parseFields, type Field } from './header.ts'
import type { Message } from './message.ts'

const PARAMETER = 'hp-legacy-display'
const MAX_DEPTH = 10

/** Reads the body only where a part of it may begin with such copies. */
export async function withoutLegacyDisplay(message: Message): Promise<Message> {
  const type = contentTypeOf(message.fields)
  if (!type?.type.startsWith('multipart/') && !type?.parameters.has(PARAMETER)) return message
  const pieces: Uint8Array[] = []
  for await (const piece of message.body) pieces.push(piece)
  const [first = Buffer.alloc(0), ...more] = pieces
  const body = more.length === 0 ? asBuffer(first) : Buffer.concat(pieces)
  const isMarked = type.parameters.has(PARAMETER) || body.includes(PARAMETER)
  return { ...message, body: once(isMarked ? inPart(message.fields, body, 0) : body) }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes
}

function inPart(fields: readonly Field[], body: Buffer, depth: number): Buffer {
  const type = contentTypeOf(fields)
  if (!type || depth > MAX_DEPTH) return body
  const boundary = type.parameters.get('boundary')
  // A part that is signed is of those who signed it.
  if (type.type.startsWith('multipart/') && type.type !== 'multipart/signed' && boundary)
    return inParts(body, boundary, depth)
  if (type.parameters.get(PARAMETER) !== '1' || isInBase64(fields)) return body
  if (type.type === 'text/plain') return withoutCopiedFields(body)
  return type.type === 'text/html' ? withoutCopiedBlock(body) : body
}

/** Delimiters are lines of their own, RFC 2046 section 5.1.1; what is none stays where it is. */
function inParts(body: Buffer, boundary: string, depth: number): Buffer {
  const delimiter = `--${boundary}`
  const starts: number[] = []
  for (let at = body.indexOf(delimiter); at !== -1; at = body.indexOf(delimiter, at + 1))
    if (at === 0 || body[at - 1] === 0x0a) starts.push(at)
  const [first] = starts
  if (first === undefined) return body
  const pieces = [body.subarray(0, first)]
  for (const [index, start] of starts.entries()) {
    const part = body.subarray(start, starts[index + 1] ?? body.length)
    const head = part.indexOf('\r\n') + 2
    const blank = head < 2 ? -1 : findBlankLine(part.subarray(head))
    if (blank === -1) {
      pieces.push(part)
      continue
    }
    const contents = head + blank + 2
    const fields = parseFields(part.subarray(head, head + blank))
    pieces.push(part.subarray(0, contents), inPart(fields, part.subarray(contents), depth + 1))
  }
  return Buffer.concat(pieces)
}

/** `Subject: ...` and the like, up to an empty line. */
function withoutCopiedFields(text: Buffer): Buffer {
  const blank = text.indexOf('\r\n\r\n')
  if (blank === -1) return text
  const lines = text.subarray(0, blank).toString('latin1').split('\r\n')
  const isCopy = lines.every(
    (line, at) => /^[!-9;-~]+: ?/.test(line) || (at > 0 && /^[ \t]/.test(line)),
  )
  return isCopy ? text.subarray(blank + 4) : text
}

function withoutCopiedBlock(html: Buffer): Buffer {
  const block =
    /<div\s+class=(?:3D)?"?header-protection-legacy-display"?[^>]*>[^]*?<\/div>(?:\r\n)?/i
  return Buffer.from(html.toString('latin1').replace(block, ''), 'latin1')
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}
