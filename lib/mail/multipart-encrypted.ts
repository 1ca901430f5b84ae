// The message form of docs/formats.md section 6: multipart/encrypted (RFC 1847 section 2.2) around an age file.
import { contentTypeOf } from './content-type.ts'
import { fieldsNamed, fieldValue, formatField, type Field } from './header.ts'
import type { Message } from './message.ts'
import { malformed, PartReader } from './part-reader.ts'

const PROTOCOL = 'application/hisho-encrypted'
/** What the outside shows of the original header; all else is inside only. */
const SHOWN = new Set(['from', 'to', 'cc', 'date', 'message-id', 'references', 'in-reply-to'])
const LINE_BYTES = 57 // 76 columns of base64, RFC 2045 section 6.8
const BLOCK_BYTES = LINE_BYTES * 1024

/**
 * The message that goes on the wire. `boundary` must be fresh: no line of base64 can contain it, since it has a `.`
 * and an `=` in front.
 */
export function formatEncrypted(
  original: readonly Field[],
  ciphertext: AsyncIterable<Uint8Array>,
  boundary: string,
): Message {
  return {
    fields: [
      ...original.filter((field) => SHOWN.has(field.name)).map(asAscii),
      formatField('Subject', '[...]'),
      formatField('MIME-Version', '1.0'),
      formatField(
        'Content-Type',
        `multipart/encrypted; protocol="${PROTOCOL}";\r\n boundary="${boundary}"`,
      ),
    ],
    separator: new TextEncoder().encode('\r\n'),
    body: formatBody(ciphertext, boundary),
  }
}

// The outer header passes MTAs without SMTPUTF8; whatever is not printable is inside, exact, and a '?' outside.
function asAscii(field: Field): Field {
  const text = Buffer.from(field.raw.buffer, field.raw.byteOffset, field.raw.length).toString(
    'latin1',
  )
  if (/^(?:[\t -~]*\r\n)+$/.test(text)) return field
  const printable = text
    .replace(/\r?\n$/, '')
    .replaceAll(/\r?\n/g, '\n')
    .replaceAll(/[^\t\n -~]/g, '?')
    .replaceAll('\n', '\r\n')
  return { name: field.name, raw: new TextEncoder().encode(`${printable}\r\n`) }
}

async function* formatBody(
  ciphertext: AsyncIterable<Uint8Array>,
  boundary: string,
): AsyncGenerator<Uint8Array> {
  const text = new TextEncoder()
  yield text.encode(
    `--${boundary}\r\nContent-Type: ${PROTOCOL}\r\n\r\nVersion: 2\r\n\r\n` +
      `--${boundary}\r\nContent-Type: application/octet-stream; name="encrypted.hisho"\r\n` +
      `Content-Disposition: attachment; filename="encrypted.hisho"\r\nContent-Transfer-Encoding: base64\r\n\r\n`,
  )
  let pending: Buffer = Buffer.alloc(0)
  for await (const piece of ciphertext) {
    pending = pending.length === 0 ? asBuffer(piece) : Buffer.concat([pending, piece])
    while (pending.length >= BLOCK_BYTES) {
      yield base64Lines(pending.subarray(0, BLOCK_BYTES))
      pending = pending.subarray(BLOCK_BYTES)
    }
  }
  if (pending.length > 0) yield base64Lines(pending)
  yield text.encode(`\r\n--${boundary}--\r\n`)
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}

function base64Lines(bytes: Buffer): Uint8Array {
  const encoded = Buffer.from(bytes.toString('base64'), 'latin1')
  const lines = Math.ceil(encoded.length / 76)
  const out = Buffer.allocUnsafe(encoded.length + lines * 2)
  let to = 0
  for (let from = 0; from < encoded.length; from += 76) {
    to += encoded.copy(out, to, from, from + 76)
    out[to++] = 0x0d
    out[to++] = 0x0a
  }
  return out
}

/** Whether the root of the message says that it is one of ours. */
export function isEncryptedMessage(fields: readonly Field[]): boolean {
  const type = contentTypeOf(fields)
  return (
    type?.type === 'multipart/encrypted' &&
    type.parameters.get('protocol')?.toLowerCase() === PROTOCOL
  )
}

/**
 * The age file inside a message of ours, as a stream. PermError mail/malformed, while streaming, if the two parts are
 * not there, in order, and as described.
 */
export async function* parseEncrypted(message: Message): AsyncGenerator<Uint8Array> {
  const boundary = contentTypeOf(message.fields)?.parameters.get('boundary')
  if (!boundary) throw malformed('boundary: the parameter is missing')
  const parts = new PartReader(message.body, boundary)
  await parts.skipTo(`--${boundary}\r\n`)
  const control = await parts.readPart(4096)
  if (contentTypeOf(control.fields)?.type !== PROTOCOL)
    throw malformed(`first part: not ${PROTOCOL}`)
  if (!/^Version: 2\s*$/.test(control.body)) throw malformed('Version: only 2 is known')
  const fields = await parts.readPartHeader(4096)
  if (contentTypeOf(fields)?.type !== 'application/octet-stream') {
    throw malformed('second part: not application/octet-stream')
  }
  const encoding = fieldsNamed(fields, 'content-transfer-encoding').map(fieldValue)
  if (encoding.length !== 1 || encoding[0]?.toLowerCase() !== 'base64') {
    throw malformed('second part: not in base64')
  }
  yield* decodeBase64(parts.contents())
}

async function* decodeBase64(source: AsyncIterable<Buffer>): AsyncGenerator<Uint8Array> {
  let pending = ''
  let ended = false
  for await (const piece of source) {
    pending += piece.toString('latin1').replaceAll(/[\r\n\t ]+/g, '')
    const whole = pending.length - (pending.length % 4)
    if (whole === 0) continue
    if (ended) throw malformed('base64: more after its end')
    const text = pending.slice(0, whole)
    ended = text.endsWith('=')
    yield decodeExactly(text)
    pending = pending.slice(whole)
  }
  if (pending !== '') throw malformed('base64: cut off')
}

// Node skips what is not base64, and the length then tells; but it takes the alphabet of URLs too.
function decodeExactly(text: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64')
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  if (bytes.length !== (text.length / 4) * 3 - padding || /[-_]/.test(text))
    throw malformed('base64: a character that is none')
  return bytes
}
