// Which recipient stanzas a message of ours has, by its first octets: several schemes share one form (docs/formats.md section 6).
import { isEncryptedMessage } from '../mail/multipart-encrypted.ts'
import type { Field } from '../mail/header.ts'

/** A glance that says who is to open it, and no check: opening is strict. `start`: the first octets of the body. */
export function hasStanza(fields: readonly Field[], start: Uint8Array, type: string): boolean {
  if (!isEncryptedMessage(fields)) return false
  const text = Buffer.from(start.buffer, start.byteOffset, start.length).toString('latin1')
  const part = text.indexOf('\r\n\r\n', text.indexOf('application/octet-stream'))
  if (part === -1) return false
  const header = Buffer.from(text.slice(part), 'base64').toString('latin1').split('\n---')[0] ?? ''
  return header.includes(`\n-> ${type} `)
}
