// What arrives: forged marks go, and a message that is ours is opened for those it was sealed for.
import { PermError } from '../errors.ts'
import { fieldsNamed, formatField, formatQuoted, type Field } from '../mail/header.ts'
import { mailboxesIn } from '../mail/address.ts'
import { peekBody, type Message } from '../mail/message.ts'
import { PEEK_BYTES } from '../mail/protected-content.ts'
import type { Scheme } from '../mail/scheme.ts'
import { claimsToBeOurs, isMarker, isTrace, UNCHECKED } from '../mail/trace.ts'
import type { Addressee } from './outgoing.ts'

export interface IncomingOptions {
  readonly schemes: readonly Scheme[]
  readonly normalizeAddress: (address: string) => string
  /** The names under which this host writes Authentication-Results, lower case. */
  readonly authservIds: ReadonlySet<string>
}

export type Arrival<R> =
  /** Not one of ours. `fields` is the header without forged marks. */
  | { readonly status: 'none'; readonly fields: readonly Field[] }
  /** Ours, and not to be opened here: it goes on as it came, without forged marks. */
  | { readonly status: 'closed'; readonly fields: readonly Field[]; readonly reason: string }
  | {
      readonly status: 'opened'
      readonly description: string
      /** Who gets `message`; the others get the ciphertext, with `fields`. */
      readonly recipients: readonly R[]
      readonly others: readonly R[]
      readonly fields: readonly Field[]
      /** The original, below the trace of its way. Nothing of it may be let go before its body was read to the end. */
      readonly message: Message
    }

/** Opens a message for its envelope's recipients. TempError: not now. Only a root that is ours is opened, one layer. */
export async function receive<R extends Addressee>(
  read: Message,
  recipients: readonly R[],
  options: IncomingOptions,
): Promise<Arrival<R>> {
  const forged = (field: Field): boolean =>
    isMarker(field) || claimsToBeOurs(field, options.authservIds)
  const fields = read.fields.filter((field) => !forged(field))
  const { scheme, message } = await findScheme(read, options.schemes)
  if (!scheme) return { status: 'none', fields }
  const addressOf = new Map(
    recipients.map((recipient) => [recipient, normalizeOr(recipient, options)]),
  )
  try {
    const opening = await scheme.open(
      message,
      [...new Set(addressOf.values())].filter((address) => address !== ''),
    )
    if (opening.status === 'closed') return { status: 'closed', fields, reason: opening.reason }
    const named = new Set(opening.addresses)
    const description = `${opening.description}${siteText(opening.site, opening.message)}`
    return {
      status: 'opened',
      description,
      recipients: recipients.filter((recipient) => named.has(addressOf.get(recipient) ?? '')),
      others: recipients.filter((recipient) => !named.has(addressOf.get(recipient) ?? '')),
      fields,
      message: await restore(fields, opening.message, (field) => !forged(field), description),
    }
  } catch (error) {
    if (error instanceof PermError)
      return { status: 'closed', fields, reason: `${error.code}: ${error.message}` }
    throw error
  }
}

/** The scheme whose message this is, if it is one of ours, and the message with its body whole. */
export async function findScheme(
  read: Message,
  schemes: readonly Scheme[],
): Promise<{ readonly scheme: Scheme | undefined; readonly message: Message }> {
  const { start, message } = await peekBody(read, PEEK_BYTES)
  return { scheme: schemes.find((known) => known.detect(message.fields, start)), message }
}

/**
 * What a key that only one site and we have says about the author. The site can write what it likes into From: proven is no
 * more than that its gateway sealed this, and that the one author is of its domain.
 */
function siteText(site: string | undefined, { fields }: Message): string {
  if (site === undefined) return ''
  const authors = mailboxesIn(fields, 'from')
  const domain = authors[0]?.slice(authors[0].lastIndexOf('@') + 1).toLowerCase()
  const isItsOwn =
    fieldsNamed(fields, 'from').length === 1 && authors.length === 1 && domain === site
  return `; site=${formatQuoted(site)}; from=${isItsOwn ? 'site' : 'unproven'}`
}

function normalizeOr(recipient: Addressee, { normalizeAddress }: IncomingOptions): string {
  try {
    return normalizeAddress(recipient.address)
  } catch {
    return '' // no identity can have this name
  }
}

/** Trace fields in their order, the two marks, the original (docs/formats.md section 6). */
async function restore(
  outer: readonly Field[],
  inner: Message,
  isGenuine: (field: Field) => boolean,
  description: string,
): Promise<Message> {
  // Without an empty line after its header the body would be read as a header, past the search for forged marks.
  const { start, message } = await peekBody(inner, 1)
  const isCut = inner.separator.length === 0 && start.length > 0
  return {
    fields: [
      ...outer.filter(isTrace),
      formatField('Ibemail-Decrypted', 'true'),
      formatField('Hisho-Decrypted', `${description}; integrity=ok; ${UNCHECKED}`),
      ...withoutLeadingFold(inner.fields).filter(isGenuine),
    ],
    separator: isCut ? CRLF : inner.separator,
    body: message.body,
  }
}

const CRLF = new Uint8Array([0x0d, 0x0a])

/** A first line that begins with white space would continue our own field above it: it could put words into it. */
function withoutLeadingFold(fields: readonly Field[]): readonly Field[] {
  const first = fields[0]?.raw[0]
  return first === 0x20 || first === 0x09 ? fields.slice(1) : fields
}
