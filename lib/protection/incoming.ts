// What arrives: forged marks go, and a message that is ours is opened for those it was sealed for.
import { PermError } from '../errors.ts'
import { withoutActiveContent, type ActiveContent } from '../mail/active-content.ts'
import type { Field } from '../mail/header.ts'
import { collect, type Message } from '../mail/message.ts'
import { formatNotOpened, formatOpened, type NotOpenedReason } from '../mail/opened-mark.ts'
import type { ContentSignature, Scheme } from '../mail/scheme.ts'
import { withoutTags } from '../mail/subject-tag.ts'
import { claimsToBeOurs, isMarker, isTrace } from '../mail/trace.ts'
import { bounded, headerBytesOf } from './bounded-body.ts'
import { findScheme, once, openLayers, type LayerOptions, type OpenedLayers } from './layers.ts'
import type { Addressee } from './outgoing.ts'

export { findScheme } from './layers.ts'

export interface IncomingOptions extends LayerOptions {
  readonly schemes: readonly Scheme[]
  readonly normalizeAddress: (address: string) => string
  /** The names under which this host writes Authentication-Results, lower case. */
  readonly authservIds: ReadonlySet<string>
  /** Words that only we may write into a Subject. */
  readonly tags: readonly string[]
  /** What becomes of HTML and the like where nothing proves that it was not altered. `text`: it is shown as text. */
  readonly activeContent: ActiveContent
  /** Leads from a mark to the log. */
  readonly reference: string
}

export type Arrival<R> =
  /** Not encrypted. `fields` is the header without forged marks. */
  | { readonly status: 'none'; readonly fields: readonly Field[] }
  /** Encrypted, and not to be opened here: it goes on as it came, without forged marks, if it may. */
  | {
      readonly status: 'closed'
      readonly fields: readonly Field[]
      readonly why: NotOpenedReason
      /** For the log alone. */
      readonly reason: string
    }
  | {
      readonly status: 'opened'
      readonly description: string
      /** Who gets `message`; the others get the ciphertext, with `fields`. */
      readonly recipients: readonly R[]
      readonly others: readonly R[]
      readonly fields: readonly Field[]
      /** What is inside is encrypted once more, and stays so. */
      readonly inside?: NotOpenedReason
      /** What the signature inside says, where the scheme has one. */
      readonly signature?: ContentSignature
      /** The original, below the trace of its way. Nothing of it may be let go before its body was read to the end. */
      readonly message: Message
    }

/** Opens a message for its envelope's recipients. TempError: not now. Only a root that is ours is opened, in each layer. */
export async function receive<R extends Addressee>(
  read: Message,
  recipients: readonly R[],
  options: IncomingOptions,
): Promise<Arrival<R>> {
  const fields = withoutForged(read.fields, options)
  const found = await findScheme(read, options.schemes)
  const closed = (why: NotOpenedReason, reason: string): Arrival<R> => ({
    status: 'closed',
    fields,
    why,
    reason,
  })
  if (!found.scheme)
    return found.isEncrypted
      ? closed('closed', 'encrypted in a way that nobody here opens')
      : { status: 'none', fields }
  if (headerBytesOf(found.message) > options.limits.headerBytes)
    return closed('limit', 'protection/limit: the header is too large')
  const addressOf = new Map(
    recipients.map((recipient) => [recipient, normalizeOr(recipient, options)]),
  )
  const addresses = [...new Set(addressOf.values())].filter((address) => address !== '')
  try {
    const { scheme, message } = found
    const opened = await openLayers(scheme, message, addresses, options)
    if (opened.status === 'closed') return closed(opened.why, opened.reason)
    const named = new Set(opened.addresses)
    const isNamed = (recipient: R): boolean => named.has(addressOf.get(recipient) ?? '')
    return {
      status: 'opened',
      description: opened.layers.map(({ description }) => description).join(' > '),
      recipients: recipients.filter(isNamed),
      others: recipients.filter((recipient) => !isNamed(recipient)),
      fields,
      ...(opened.inside && { inside: opened.inside }),
      ...(opened.signature && { signature: opened.signature }),
      message: restore(fields, await pacified(opened, options), options),
    }
  } catch (error) {
    if (error instanceof PermError) return closed(whyOf(error), `${error.code}: ${error.message}`)
    throw error
  }
}

/** The class of a failure that shows while a message is opened, or its plaintext is read. */
export function whyOf(error: PermError): NotOpenedReason {
  return error.code === 'protection/limit' ? 'limit' : 'closed'
}

/** The Subject keeps its tags until signatures over it were judged, but for a header that goes with a ciphertext. */
function withoutForged(
  fields: readonly Field[],
  { authservIds, tags }: IncomingOptions,
): readonly Field[] {
  return fields
    .filter((field) => !isForged(field, authservIds))
    .map((field) =>
      tags.length > 0 && field.name === 'subject' ? withoutTags(field, tags) : field,
    )
}

function isForged(field: Field, authservIds: ReadonlySet<string>): boolean {
  return isMarker(field) || claimsToBeOurs(field, authservIds)
}

function normalizeOr(recipient: Addressee, { normalizeAddress }: IncomingOptions): string {
  try {
    return normalizeAddress(recipient.address)
  } catch {
    return '' // no identity can have this name
  }
}

/**
 * Whoever may have put parts together on the way must not have them load or run anything: EFAIL. What is inside of a layer that
 * proves nothing may be all theirs, whatever the layers within it prove.
 */
async function pacified(
  opened: OpenedLayers,
  { activeContent, limits }: IncomingOptions,
): Promise<OpenedLayers> {
  const { layers, message } = opened
  if (activeContent === 'keep' || layers.every(({ integrity }) => integrity === 'ok')) return opened
  const body = await collect(bounded(message.body, limits.bytes))
  const passive = withoutActiveContent(message.fields, body)
  return {
    ...opened,
    layers: layers.map((layer, at) =>
      passive.changed > 0 && at === layers.length - 1 ? { ...layer, activeContent: 'text' } : layer,
    ),
    message: { ...message, fields: passive.fields, body: once(passive.body) },
  }
}

/** Trace fields in their order, the marks, the original (docs/formats.md section 6). */
function restore(
  outer: readonly Field[],
  { layers, signature, inside, message, startsWithText }: OpenedLayers,
  { authservIds, reference, limits }: IncomingOptions,
): Message {
  // Without an empty line after its header the body would be read as a header, past the search for forged marks.
  const isCut = message.separator.length === 0 && startsWithText
  return {
    fields: [
      ...outer.filter(isTrace),
      MARK_OF_THE_PAPER,
      ...(inside ? [formatNotOpened(inside, reference)] : []),
      ...formatOpened(layers, signature),
      ...withoutLeadingFold(message.fields).filter((field) => !isForged(field, authservIds)),
    ],
    separator: isCut ? CRLF : message.separator,
    body: bounded(message.body, limits.bytes),
  }
}

const MARK_OF_THE_PAPER: Field = {
  name: 'ibemail-decrypted',
  raw: new TextEncoder().encode('Ibemail-Decrypted: true\r\n'),
}
const CRLF = new Uint8Array([0x0d, 0x0a])

/** A first line that begins with white space would continue our own field above it: it could put words into it. */
function withoutLeadingFold(fields: readonly Field[]): readonly Field[] {
  const first = fields[0]?.raw[0]
  return first === 0x20 || first === 0x09 ? fields.slice(1) : fields
}
