// The message form of version 1, figure 5 of the IBEmail paper: the ciphertext is the whole body, in base64.
// docs/formats.md, "The message".
import { decodeBase64, encodeBase64, isInBase64 } from './base64-body.ts'
import { contentTypeOf } from './content-type.ts'
import { formatField, type Field } from './header.ts'
import type { Message } from './message.ts'
import { shownFields } from './outer-fields.ts'
import { malformed } from './part-reader.ts'

export const IBEMAIL_TYPE = 'application/ibemail-encrypted'

export function formatIbemail(
  original: readonly Field[],
  ciphertext: AsyncIterable<Uint8Array>,
): Message {
  return {
    fields: [
      ...shownFields(original),
      formatField('Subject', 'encrypted mail'),
      formatField('MIME-Version', '1.0'),
      formatField('Content-Type', IBEMAIL_TYPE),
      formatField('Content-Disposition', 'attachment; filename="ibemail.cipher"'),
      formatField('Content-Transfer-Encoding', 'base64'),
    ],
    separator: new TextEncoder().encode('\r\n'),
    body: encodeBase64(ciphertext),
  }
}

/** Whether the root of the message says that it is one. */
export function isIbemail(fields: readonly Field[]): boolean {
  return contentTypeOf(fields)?.type === IBEMAIL_TYPE
}

/** The ciphertext, as a stream. PermError mail/malformed, while streaming, for what is not in base64. */
export async function* parseIbemail(message: Message): AsyncGenerator<Uint8Array> {
  if (!isInBase64(message.fields)) throw malformed('not in base64')
  yield* decodeBase64(message.body)
}

// C1, C2 and the twelve coefficients of C3, little-endian: each is below a prime whose first octet is 0x25, and the top
// bit of a point is its sign.
const NUMBERS = 14
const POINTS = 2
const NUMBER_BYTES = 32
const FIRST_OCTET_MAX = 0x25
/** Up to the ciphertext proper, of which there may be nothing. */
const HEAD_BYTES = 508

/** Whether the start of a body can be such a ciphertext: random octets pass once in 10^11 times, and text does not. */
export function startsAsIbemail(text: string): boolean {
  const packed = text.replaceAll(/[\r\n\t ]+/g, '').slice(0, Math.ceil((HEAD_BYTES * 4) / 3))
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(packed)) return false
  const bytes = Buffer.from(packed, 'base64')
  if (bytes.length < HEAD_BYTES) return false
  return Array.from({ length: NUMBERS }, (_, at) => bytes[at * NUMBER_BYTES + NUMBER_BYTES - 1]!)
    .map((octet, at) => (at < POINTS ? octet & 0x7f : octet))
    .every((octet) => octet <= FIRST_OCTET_MAX)
}
