// What a sender of ours may write into a message to have it encrypted, whatever the table says: more than that, never less.
import { decodeWords } from '../mail/encoded-words.ts'
import { fieldsNamed, fieldValue, type Field } from '../mail/header.ts'

export interface HeaderTrigger {
  /** Lower case. */
  readonly name: string
  /** Lower case, the whole value. */
  readonly value: string
}

export interface Triggers {
  /** With which a subject begins. */
  readonly subjects: readonly string[]
  readonly headers: readonly HeaderTrigger[]
}

/** Which of them the message has, in words; undefined: none. */
export function triggerOf(
  fields: readonly Field[],
  { subjects, headers }: Triggers,
): string | undefined {
  const written = fieldsNamed(fields, 'subject').map((field) =>
    fold(decodeWords(fieldValue(field))),
  )
  const subject = subjects.find((start) => written.some((text) => text.startsWith(fold(start))))
  if (subject !== undefined) return `subject ${subject}`
  const header = headers.find(({ name, value }) =>
    fieldsNamed(fields, name).some((field) => fold(decodeWords(fieldValue(field))) === fold(value)),
  )
  return header && `header ${header.name}`
}

function fold(text: string): string {
  return text.normalize('NFKC').trim().toLowerCase()
}
