// Whether a MIME entity is a CMS message, and of which kind: RFC 8551 section 3.2. What its octets say counts, since the
// parameters are a claim, and many programs and gateways leave them out or take them for files.
import { contentTypeOf } from './content-type.ts'
import { fieldsNamed, fieldValue, type Field } from './header.ts'

export type SmimeContent = 'enveloped' | 'signed' | 'compressed'

// A ContentInfo (RFC 5652 section 3) is a SEQUENCE whose first element is one of these names: EnvelopedData and
// AuthEnvelopedData (RFC 5083), SignedData, CompressedData (RFC 3274).
const NAMES: Readonly<Record<string, SmimeContent>> = {
  '06092a864886f70d010703': 'enveloped',
  '060b2a864886f70d0109100117': 'enveloped',
  '06092a864886f70d010702': 'signed',
  '060b2a864886f70d0109100109': 'compressed',
}
const START_BYTES = 64
const START_CHARACTERS = 128

/** `start`: the first octets of its body. */
export function smimeContentOf(
  fields: readonly Field[],
  start: Uint8Array,
): SmimeContent | undefined {
  return isCalledSmime(fields) ? contentAt(octetsAt(fields, start)) : undefined
}

/** `smime.p7m` and the like arrive as application/octet-stream too. */
function isCalledSmime(fields: readonly Field[]): boolean {
  const type = contentTypeOf(fields)
  if (!type) return false
  if (/^application\/(?:x-)?pkcs7-mime$/.test(type.type)) return true
  if (type.type !== 'application/octet-stream') return false
  const [disposition = ''] = fieldsNamed(fields, 'content-disposition').map(fieldValue)
  const [, quoted, bare] = /;\s*filename\s*=\s*(?:"([^"]*)"|([^\s;]+))/i.exec(disposition) ?? []
  const names = [type.parameters.get('name') ?? '', quoted ?? bare ?? '']
  return names.some((name) => /\.p7[mz]$/i.test(name))
}

function octetsAt(fields: readonly Field[], start: Uint8Array): Buffer {
  const encoding = fieldsNamed(fields, 'content-transfer-encoding').map(fieldValue)[0] ?? ''
  const bytes = Buffer.from(start.subarray(0, START_CHARACTERS))
  if (encoding.toLowerCase() !== 'base64') return bytes
  return Buffer.from(bytes.toString('latin1').replaceAll(/\s+/g, ''), 'base64')
}

function contentAt(bytes: Buffer): SmimeContent | undefined {
  const [tag, length = 0] = bytes
  if (tag !== 0x30) return undefined
  const at = length <= 0x80 ? 2 : 2 + length - 0x80
  const text = bytes.subarray(at, at + START_BYTES).toString('hex')
  return Object.entries(NAMES).find(([name]) => text.startsWith(name))?.[1]
}
