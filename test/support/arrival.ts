// What a message became on its way, compared with what was submitted.
import assert from 'node:assert/strict'
import { parseFields, type Field } from '../../lib/mail/header.ts'
import { isMarker, isTrace } from '../../lib/mail/trace.ts'

/** The submitted bytes stand at the end, and above them trace and marks alone: these fields are the result. */
export function fieldsAbove(message: Buffer, submitted: Uint8Array): Field[] {
  const at = message.length - submitted.length
  if (!message.subarray(Math.max(0, at)).equals(submitted))
    assert.equal(message.toString('latin1'), Buffer.from(submitted).toString('latin1'))
  const above = parseFields(message.subarray(0, at))
  for (const field of above) assert.ok(isTrace(field) || isMarker(field), `added: ${field.name}`)
  return above
}

/** It arrived as it was submitted, and was encrypted on its way. */
export function assertOpened(message: Buffer, submitted: Uint8Array): void {
  const names = fieldsAbove(message, submitted).map((field) => field.name)
  assert.ok(names.includes('hisho-decrypted'), 'it was not encrypted on its way')
}

/** It arrived as it was submitted, and nobody has ever encrypted it. */
export function assertUntouched(message: Buffer, submitted: Uint8Array): void {
  const names = fieldsAbove(message, submitted).map((field) => field.name)
  assert.ok(!names.some((name) => name.startsWith('hisho-')), 'it says that it was decrypted')
}

export function isCiphertext(message: Uint8Array): boolean {
  const text = Buffer.from(message).toString('latin1')
  return /^Content-Type: multipart\/encrypted;\s+protocol="application\/hisho-encrypted"/im.test(
    text,
  )
}
