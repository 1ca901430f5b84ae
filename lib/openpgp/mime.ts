// PGP/MIME: a message whose content is encrypted, as RFC 3156 section 4 has it.
import { decodeBase64, isInBase64 } from '../mail/base64-body.ts'
import { contentTypeOf } from '../mail/content-type.ts'
import { fieldsNamed, fieldValue, formatField, type Field } from '../mail/header.ts'
import { release } from '../mail/large-bytes.ts'
import type { Message } from '../mail/message.ts'
import { readPartStream } from '../mail/part-stream.ts'
import { malformed } from '../mail/part-reader.ts'
import { outerFields } from '../mail/protected-header.ts'
import { hasProtocol } from '../mail/two-parts.ts'
import { readArmorFrom, writeArmor } from './armor.ts'
import { LARGEST_MESSAGE_BYTES } from './limits.ts'

const PROTOCOL = 'application/pgp-encrypted'
/** In armor, and once more in base64: an eighth for the line ends. */
const LARGEST_ARMOR_BYTES = LARGEST_MESSAGE_BYTES * 2

/** Whether the root of a message says that it is one. Nothing else is looked into: no part, no text. */
export function isEncrypted(fields: readonly Field[]): boolean {
  return hasProtocol(fields, 'multipart/encrypted', PROTOCOL)
}

/** Descriptions and dispositions are what filters for spam look for, whatever the RFC says. `boundary` must be fresh. */
export function formatEncrypted(
  original: readonly Field[],
  ciphertext: () => Promise<readonly Uint8Array[]>,
  boundary: string,
): Message {
  return {
    fields: [
      ...outerFields(original),
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
  ciphertext: () => Promise<readonly Uint8Array[]>,
  boundary: string,
): AsyncGenerator<Uint8Array> {
  const packets = await ciphertext()
  const text = new TextEncoder()
  yield text.encode(
    `--${boundary}\r\nContent-Type: ${PROTOCOL}\r\nContent-Description: PGP/MIME version identification\r\n\r\n` +
      `Version: 1\r\n\r\n` +
      `--${boundary}\r\nContent-Type: application/octet-stream; name="encrypted.asc"\r\n` +
      `Content-Description: OpenPGP encrypted message\r\n` +
      `Content-Disposition: inline; filename="encrypted.asc"\r\n\r\n`,
  )
  yield* writeArmor('MESSAGE', packets)
  packets.forEach(release)
  yield text.encode(`\r\n--${boundary}--\r\n`)
}

/** The packets. PermError mail/malformed or openpgp/decrypt if the two parts are not there, in order, and as described. */
export async function readEncrypted(message: Message): Promise<Uint8Array> {
  const { first, fields, body } = await readPartStream(message, LARGEST_ARMOR_BYTES)
  if (contentTypeOf(first.fields)?.type !== PROTOCOL) throw malformed(`first part: not ${PROTOCOL}`)
  if (!/^\s*Version: *1\s*$/i.test(Buffer.from(first.body).toString('latin1', 0, 100)))
    throw malformed('Version: only 1 is known')
  if (contentTypeOf(fields)?.type !== 'application/octet-stream')
    throw malformed('second part: not application/octet-stream')
  return readArmorFrom('MESSAGE', withoutEncoding(fields, body), LARGEST_ARMOR_BYTES)
}

/** Armor is text: a transfer encoding is not needed, and yet some gateways put one on. */
function withoutEncoding(
  fields: readonly Field[],
  body: AsyncIterable<Uint8Array>,
): AsyncIterable<Uint8Array> {
  if (isInBase64(fields)) return decodeBase64(body)
  const [encoding = '7bit'] = fieldsNamed(fields, 'content-transfer-encoding').map(fieldValue)
  if (/^(?:7bit|8bit|binary)$/i.test(encoding)) return body
  throw malformed('second part: an encoding that is not known')
}
