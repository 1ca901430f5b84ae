// `hisho inspect`: what a message is, as far as one can see without keys.
import { readHeader } from '../container/container.ts'
import { stanzasOf, type StanzaView } from './stanza-view.ts'
import { HishoError } from '../errors.ts'
import { contentTypeOf } from '../mail/content-type.ts'
import { fieldsNamed, fieldValue, type Field } from '../mail/header.ts'
import { collect, peekBody, readMessage } from '../mail/message.ts'
import { isEncryptedMessage, parseEncrypted } from '../mail/multipart-encrypted.ts'
import { PEEK_BYTES, protectionOf } from '../mail/protected-content.ts'
import type { Context } from './context.ts'
import { readRawMessage } from './message-io.ts'

export interface Inspection {
  readonly from: string | null
  readonly to: string | null
  readonly date: string | null
  readonly kind: 'hisho' | 'ibemail' | 'pgp-mime' | 's-mime' | 'clear'
  readonly sizeBytes: number
  /** Of the age file inside. */
  readonly containerBytes?: number
  /** Of its payload. */
  readonly suite?: string
  readonly stanzas?: readonly StanzaView[]
  /** It says that it is ours, and is not quite. */
  readonly problem?: string
}

export async function inspect(
  context: Context,
  source: AsyncIterable<Uint8Array>,
  { json }: { readonly json: boolean },
): Promise<void> {
  const { bytes } = await readRawMessage(source)
  const found = await inspectBytes(bytes)
  if (json) return context.terminal.json(found)
  const { terminal } = context
  terminal.line(`From:  ${printable(found.from ?? '-')}`)
  terminal.line(`To:    ${printable(found.to ?? '-')}`)
  terminal.line(`Date:  ${printable(found.date ?? '-')}`)
  terminal.line(`Kind:  ${found.kind}, ${found.sizeBytes} bytes`)
  if (found.problem !== undefined) terminal.line(`Problem: ${printable(found.problem)}`)
  if (found.containerBytes !== undefined)
    terminal.line(`Age file: ${found.containerBytes} bytes, ${found.suite}`)
  for (const stanza of found.stanzas ?? []) {
    const who = [
      ...(stanza.n === undefined ? [] : [`n=${stanza.n}`]),
      ...(stanza.keyId === undefined ? [] : [`key ${printable(stanza.keyId)}`]),
      ...(stanza.identity === undefined ? [] : [printable(stanza.identity)]),
    ].map((text) => ` ${text}`)
    const problem = stanza.problem === undefined ? '' : ` (${stanza.problem})`
    terminal.line(
      `Stanza: ${printable(stanza.type)}${who.join('')}, ${stanza.sizeBytes} bytes${problem}`,
    )
  }
}

async function inspectBytes(bytes: Uint8Array): Promise<Inspection> {
  const { start, message } = await peekBody(await readMessage([bytes]), PEEK_BYTES)
  const common = {
    from: firstValue(message.fields, 'from'),
    to: firstValue(message.fields, 'to'),
    date: firstValue(message.fields, 'date'),
    sizeBytes: bytes.length,
  }
  if (isEncryptedMessage(message.fields)) {
    try {
      const container = await collect(parseEncrypted(message))
      const { suite, stanzas } = await readHeader([container])
      return {
        ...common,
        kind: 'hisho',
        containerBytes: container.length,
        suite,
        stanzas: stanzasOf(stanzas),
      }
    } catch (error) {
      if (!(error instanceof HishoError)) throw error
      return { ...common, kind: 'hisho', problem: `${error.code}: ${error.message}` }
    }
  }
  if (contentTypeOf(message.fields)?.type === 'application/ibemail-encrypted')
    return { ...common, kind: 'ibemail' }
  return { ...common, kind: protectionOf(message, start) ?? 'clear' }
}

function firstValue(fields: readonly Field[], name: string): string | null {
  const field = fieldsNamed(fields, name)[0]
  return field ? fieldValue(field) : null
}

/** What strangers wrote must not steer a terminal. */
function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, '?')
}
