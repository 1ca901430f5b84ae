// The message form of docs/formats.md section 6: multipart/encrypted (RFC 1847 section 2.2) around an age file.
import { randomBytes } from 'node:crypto'
import { decodeBase64, encodeBase64, isInBase64 } from './base64-body.ts'
import { contentTypeOf } from './content-type.ts'
import { formatField, type Field } from './header.ts'
import type { Message } from './message.ts'
import { shownFields } from './outer-fields.ts'
import { malformed, PartReader } from './part-reader.ts'

const PROTOCOL = 'application/hisho-encrypted'

/** A `=_` cannot stand in base64 or quoted-printable (RFC 2045 section 6.7), a random part in nothing at all. */
export function freshBoundary(): string {
  return `=_hisho_${randomBytes(18).toString('base64url')}`
}

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
      ...shownFields(original),
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
  yield* encodeBase64(ciphertext)
  yield text.encode(`\r\n--${boundary}--\r\n`)
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
  if (!isInBase64(fields)) throw malformed('second part: not in base64')
  yield* decodeBase64(parts.contents())
}
