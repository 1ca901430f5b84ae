// Which fields a signature covers, and the digest that is signed.
import { createHash } from 'node:crypto'
import { fieldsSigned, relaxedField } from '../../mail/canonical.ts'
import { fieldsNamed, type Field } from '../../mail/header.ts'
import { signedForm } from './field.ts'

/** What readers see or programs act on: none of these may be in a message without being signed. */
const SIGNED = [
  'from',
  'sender',
  'reply-to',
  'to',
  'cc',
  'subject',
  'date',
  'message-id',
  'in-reply-to',
  'references',
  'mime-version',
  'content-type',
  'content-transfer-encoding',
]

/** Each of them once more than it occurs: none can be added on the way (RFC 6376 section 8.15). */
export function namesToSign(fields: readonly Field[]): readonly string[] {
  return SIGNED.flatMap((name) => [name, ...fieldsNamed(fields, name).map(() => name)])
}

/** The first of those names of which the message has more fields than `names` holds. */
export function unsignedName(
  fields: readonly Field[],
  names: readonly string[],
): string | undefined {
  return SIGNED.find(
    (name) => fieldsNamed(fields, name).length > names.filter((other) => other === name).length,
  )
}

/** SHA-256 of the fields of those names, and of the signature's own field, as RFC 6376 section 3.7 has it. */
export function headerDigest(
  fields: readonly Field[],
  names: readonly string[],
  own: Field,
): Uint8Array {
  const hash = createHash('sha256')
  const others = fields.filter((field) => field !== own)
  for (const field of fieldsSigned(others, names)) hash.update(relaxedField(field))
  return hash.update(signedForm(own)).digest()
}
