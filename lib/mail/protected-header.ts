// Header protection for schemes whose content is a MIME entity and no whole message: RFC 9788. What its author wrote goes
// inside with all its fields, and comes out as it was.
import { mailboxesIn } from './address.ts'
import { contentTypeOf } from './content-type.ts'
import { formatField, type Field } from './header.ts'
import { withoutLegacyDisplay } from './legacy-display.ts'
import { readMessage, type Message } from './message.ts'
import { shownFields } from './outer-fields.ts'
import { isMarker, isTrace } from './trace.ts'

/** What a scheme has opened, as a message again. */
export interface Restored {
  /** Trace fields of the outside are not among its fields: whoever delivers it puts them on top. */
  readonly message: Message
  /** `none`: the fields are those of the outside, which anybody on the way could have changed. */
  readonly headerProtection: 'hp-cipher' | 'hp-clear' | 'legacy' | 'none'
  /** Whom the inside names: To, Cc and our own list of a copy's addressees, as written. undefined: it is not protected. */
  readonly addressees: readonly string[] | undefined
  /** The inside names another author than the outside: then it is the outside's that is kept. RFC 9788 section 4.4. */
  readonly fromMismatch?: true
}

const CRLF = new Uint8Array([0x0d, 0x0a])
const HP_OUTER = 'HP-Outer'
/** Of a copy: those of its recipients that To and Cc do not show. */
const ADDRESSEES = 'Hisho-Addressees'
/** For an original that has none: known again by its bytes, and taken away. */
const ADDED_TYPE = formatField('Content-Type', 'text/plain;\r\n hp="cipher"; hisho="added"')
const LEGACY_WRAPPER = 'message/rfc822; forwarded="no"'

/** The fields outside of the ciphertext; the scheme adds its Content-Type and what belongs to it. RFC 9788 section 3: hcp_baseline, and more. */
export function outerFields(original: readonly Field[]): Field[] {
  return [...exposedFields(original), formatField('MIME-Version', '1.0')]
}

function exposedFields(original: readonly Field[]): Field[] {
  return [...shownFields(original), formatField('Subject', '[...]')]
}

/** What is signed and sealed: the MIME entity with all fields of the original but those of its way. `addressees` are normalised. */
export function protectedEntity(original: Message, addressees: readonly string[]): Message {
  const inside = original.fields.filter((field) => !isKeptOut(field))
  const own = [
    ...exposedFields(original.fields).map(asHpOuter),
    ...addresseesField(inside, addressees),
  ]
  const fields = withProtection(inside)
  if (original.separator.length === 0 || !fields) return wrapped(original, inside, own)
  return { fields: [...fields, ...own], separator: CRLF, body: original.body }
}

/** undefined: a Content-Type that cannot carry the parameter, or has one of its own. */
function withProtection(inside: readonly Field[]): Field[] | undefined {
  if (inside.some(({ name }) => name === '')) return undefined
  if (inside.every(({ name }) => name !== 'content-type')) return [...inside, ADDED_TYPE]
  const parameters = contentTypeOf(inside)?.parameters
  if (!parameters || ['hp', 'protected-headers'].some((name) => parameters.has(name)))
    return undefined
  const fields = inside.map((field) =>
    field.name === 'content-type' ? withParameter(field) : field,
  )
  return contentTypeOf(fields)?.parameters.get('hp') === 'cipher' ? fields : undefined
}

/** Whose Content-Type cannot carry a parameter: RFC 8551 section 3.1 puts the message whole into an entity of its own. */
function wrapped(original: Message, inside: readonly Field[], own: readonly Field[]): Message {
  async function* body(): AsyncGenerator<Uint8Array> {
    for (const { raw } of [...own, ...inside]) yield raw
    yield original.separator
    yield* original.body
  }
  return { fields: [formatField('Content-Type', LEGACY_WRAPPER)], separator: CRLF, body: body() }
}

function isKeptOut(field: Field): boolean {
  return field.name === 'bcc' || isTrace(field) || isMarker(field) || field.name === 'hp-outer'
}

/** RFC 9788 section 2.2: one for each field that the outside shows, with the value that it has there. */
function asHpOuter({ raw }: Field): Field {
  return {
    name: HP_OUTER.toLowerCase(),
    raw: Buffer.concat([new TextEncoder().encode(`${HP_OUTER}: `), raw]),
  }
}

function addresseesField(inside: readonly Field[], addressees: readonly string[]): Field[] {
  const seen = new Set(
    [...mailboxesIn(inside, 'to'), ...mailboxesIn(inside, 'cc')].map((one) => one.toLowerCase()),
  )
  const hidden = addressees.filter((address) => !seen.has(address.toLowerCase()))
  if (hidden.length === 0) return []
  return [
    {
      name: ADDRESSEES.toLowerCase(),
      raw: new TextEncoder().encode(
        `${ADDRESSEES}: ${hidden.map((one) => `<${one}>`).join(',\r\n ')}\r\n`,
      ),
    },
  ]
}

const PARAMETER = ';\r\n hp="cipher"'

function withParameter({ name, raw }: Field): Field {
  const text = latin1(raw).replace(/[;\s]+$/, '')
  const rest = latin1(raw).slice(text.length)
  // What stood behind the last parameter is put back by whoever takes ours away.
  return { name, raw: Buffer.from(`${text}${PARAMETER}${rest}`, 'latin1') }
}

/** The message of an entity that was opened. `outer` are the fields that came with it outside. Its body is read where it says so. */
export async function restoreEntity(outer: readonly Field[], entity: Message): Promise<Restored> {
  const type = contentTypeOf(entity.fields)
  const hp = type?.parameters.get('hp')?.toLowerCase()
  if (hp === 'cipher' || hp === 'clear') {
    const fields = entity.fields.filter((field) => !isAdded(field)).map(withoutParameter)
    const own = { ...entity, fields }
    return { ...restoreWhole(outer, await withoutLegacyDisplay(own)), headerProtection: `hp-${hp}` }
  }
  if (type?.type === 'message/rfc822' && type.parameters.get('forwarded')?.toLowerCase() === 'no') {
    return { ...restoreWhole(outer, await readMessage(entity.body)), headerProtection: 'legacy' }
  }
  if (type?.parameters.get('protected-headers')?.toLowerCase() === 'v1') {
    const inner = entity.fields.filter((field) => isOfContent(field) || !isKeptOut(field))
    const names = new Set(inner.map(({ name }) => name))
    const kept = unprotected(outer).filter(({ name }) => !names.has(name))
    const own = { ...entity, fields: [...kept, ...inner] }
    return { ...restoreWhole(outer, await withoutLegacyDisplay(own)), headerProtection: 'legacy' }
  }
  // Nothing says that its other fields are the message's: RFC 9788 section 4.1.
  const own = entity.fields.filter(isOfContent)
  const version = own.some(({ name }) => name === 'mime-version')
    ? []
    : [formatField('MIME-Version', '1.0')]
  return {
    message: { ...entity, fields: [...unprotected(outer), ...version, ...own.map(clean)] },
    headerProtection: 'none',
    addressees: undefined,
  }
}

/** Structural fields, RFC 9788 section 1.8. */
function isOfContent({ name }: Field): boolean {
  return name === 'mime-version' || name.startsWith('content-')
}

function unprotected(outer: readonly Field[]): Field[] {
  return outer.filter((field) => !isOfContent(field) && !isTrace(field) && !isMarker(field))
}

function restoreWhole(outer: readonly Field[], inner: Message): Omit<Restored, 'headerProtection'> {
  const addressees = ['to', 'cc', ADDRESSEES.toLowerCase()].flatMap((name) =>
    mailboxesIn(inner.fields, name),
  )
  const fields = inner.fields.filter((field) => !isKeptOut(field)).map(clean)
  const message = { ...inner, fields }
  if (sameAuthor(outer, fields)) return { message, addressees }
  const from = outer.filter(({ name }) => name === 'from')
  return {
    message: { ...message, fields: [...from, ...fields.filter(({ name }) => name !== 'from')] },
    addressees,
    fromMismatch: true,
  }
}

/** Addresses alone: a mailing list, say, changes names. No From inside is another one than any outside. */
function sameAuthor(outer: readonly Field[], inner: readonly Field[]): boolean {
  const authors = (fields: readonly Field[]): string =>
    mailboxesIn(fields, 'from')
      .map((address) => address.toLowerCase())
      .toSorted()
      .join(' ')
  const count = (fields: readonly Field[]): number =>
    fields.filter(({ name }) => name === 'from').length
  if (count(inner) !== count(outer)) return false
  // Outside what is no ASCII may stand as `?`.
  return [inner, shownFields(inner)].some((fields) => authors(fields) === authors(outer))
}

function isAdded({ raw }: Field): boolean {
  return Buffer.compare(raw, ADDED_TYPE.raw) === 0
}

function withoutParameter(field: Field): Field {
  if (field.name !== 'content-type') return field
  const text = latin1(field.raw)
  const own = text.includes(PARAMETER)
    ? text.replace(PARAMETER, '')
    : text.replace(/;\s*hp\s*=\s*(?:"[^"]*"|[^\s;]+)/i, '')
  return { name: field.name, raw: Buffer.from(own, 'latin1') }
}

/** No line of the inside ends a line or a text where none ends: bare CR and LF and NUL are taken away. */
function clean(field: Field): Field {
  const text = latin1(field.raw)
  if (/^(?:[^\r\n\0]*\r\n)+$/.test(text)) return field
  const lines = text.split(/\r?\n/).map((line) => line.replaceAll(/[\r\0]/g, ''))
  if (lines.at(-1) === '') lines.pop()
  return { name: field.name, raw: Buffer.from(`${lines.join('\r\n')}\r\n`, 'latin1') }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}
