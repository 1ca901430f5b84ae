// A message that was encrypted more than once: opened layer by layer, each at its root, for those whom every layer names.
import { PermError } from '../errors.ts'
import { mailboxesIn } from '../mail/address.ts'
import { fieldsNamed, formatQuoted, type Field } from '../mail/header.ts'
import { closeBody, collect, peekBody, type Message } from '../mail/message.ts'
import type { NotOpenedReason, OpenedLayer } from '../mail/opened-mark.ts'
import { PEEK_BYTES, protectionOf } from '../mail/protected-content.ts'
import type { ContentSignature, Opening, Scheme } from '../mail/scheme.ts'
import { bounded, headerBytesOf } from './bounded-body.ts'

export interface OpeningLimits {
  readonly layers: number
  /** Of a header, outside or inside. */
  readonly headerBytes: number
  /** Of what is inside. */
  readonly bytes: number
}

export interface LayerOptions {
  readonly schemes: readonly Scheme[]
  readonly limits: OpeningLimits
  /** Whether mail in the name of that domain is released although nothing proves that it was not altered. */
  readonly allowsUnproven: (domain: string) => boolean
  /** Whether the same came before under another envelope. Once a layer; absent: nothing is remembered. */
  readonly isReplay?: (sealedKeyId: string) => Promise<boolean>
}

export interface OpenedLayers {
  readonly status: 'opened'
  /** The outermost first. */
  readonly layers: readonly OpenedLayer[]
  /** Those whom all layers name. */
  readonly addresses: readonly string[]
  /** Of the innermost layer. */
  readonly signature: ContentSignature | undefined
  /** Why there is still a ciphertext inside. */
  readonly inside: NotOpenedReason | undefined
  readonly message: Message
  /** Whether there is a body. */
  readonly startsWithText: boolean
}

export interface ClosedLayers {
  readonly status: 'closed'
  readonly why: NotOpenedReason
  readonly reason: string
}

interface Found {
  /** Whose message this is, if it is one of ours. */
  readonly scheme: Scheme | undefined
  /** As far as one can see from its root, by whomever. */
  readonly isEncrypted: boolean
  readonly startsWithText: boolean
  /** With its body whole. */
  readonly message: Message
}

export async function findScheme(read: Message, schemes: readonly Scheme[]): Promise<Found> {
  const { start, message } = await peekBody(read, PEEK_BYTES)
  const scheme = schemes.find((known) => known.detect(message.fields, start))
  const isEncrypted = scheme !== undefined || protectionOf(message, start) !== undefined
  return { scheme, isEncrypted, startsWithText: start.length > 0, message }
}

type Opened = Extract<Opening, { status: 'opened' }>

/** TempError: not now. PermError: damaged, or beyond a limit. */
export async function openLayers(
  outermost: Scheme,
  read: Message,
  wanted: readonly string[],
  options: LayerOptions,
): Promise<OpenedLayers | ClosedLayers> {
  const layers: OpenedLayer[] = []
  let last: Opened | undefined
  let scheme: Scheme = outermost
  let message = read
  for (;;) {
    const opening = await openLayer(scheme, message, last?.addresses ?? wanted, options)
    if (opening.status === 'closed') {
      // Not for us, or not ours to open: a user of ours has a key of his own for it.
      if (last && opening.why === 'closed') return resultOf(layers, last, read, 'closed')
      return opening
    }
    last = opening
    layers.push({
      description: `${opening.description}${siteText(opening.site, opening.message)}`,
      integrity: opening.integrity ?? 'ok',
    })
    const inner = await findScheme(opening.message, options.schemes)
    if (!inner.scheme) {
      const inside = inner.isEncrypted ? 'closed' : undefined
      return {
        ...resultOf(layers, last, inner.message, inside),
        startsWithText: inner.startsWithText,
      }
    }
    if (layers.length === options.limits.layers) {
      await closeBody(inner.message)
      return {
        status: 'closed',
        why: 'limit',
        reason: `protection/limit: more than ${layers.length} layers`,
      }
    }
    // Whole before it is looked into: only the end of a layer proves what is in it, and it may have to go on as it is.
    const body = await collect(bounded(inner.message.body, options.limits.bytes))
    scheme = inner.scheme
    message = { ...inner.message, body: once(body) }
    read = { ...inner.message, body: once(body) }
  }
}

function resultOf(
  layers: readonly OpenedLayer[],
  { addresses, signature }: Opened,
  message: Message,
  inside: NotOpenedReason | undefined,
): OpenedLayers {
  return { status: 'opened', layers, addresses, signature, inside, message, startsWithText: true }
}

async function openLayer(
  scheme: Scheme,
  message: Message,
  wanted: readonly string[],
  options: LayerOptions,
): Promise<Opened | ClosedLayers> {
  const opening = await openOrClose(scheme, message, wanted)
  if (opening.status === 'closed') return { ...opening, why: 'closed' }
  const refusal = await refusalOf(opening, options)
  if (refusal) await closeBody(opening.message)
  return refusal ?? opening
}

/** What does not open and what cannot be read is one and the same to the outside. */
async function openOrClose(
  scheme: Scheme,
  message: Message,
  wanted: readonly string[],
): Promise<Opening> {
  try {
    return await scheme.open(message, wanted)
  } catch (error) {
    if (!(error instanceof PermError) || error.code === 'protection/limit') throw error
    return { status: 'closed', reason: `${error.code}: ${error.message}` }
  }
}

async function refusalOf(
  { message, integrity, sealedKeyId }: Opened,
  { limits, allowsUnproven, isReplay }: LayerOptions,
): Promise<ClosedLayers | undefined> {
  if (headerBytesOf(message) > limits.headerBytes)
    return {
      status: 'closed',
      why: 'limit',
      reason: 'protection/limit: the header inside is too large',
    }
  if (integrity === 'unproven' && !isAllowed(message.fields, allowsUnproven))
    return {
      status: 'closed',
      why: 'policy',
      reason: 'nothing proves that it was not altered, and the table does not say unproven: open',
    }
  if (sealedKeyId !== undefined && (await isReplay?.(sealedKeyId)))
    return {
      status: 'closed',
      why: 'replay',
      reason: 'protection/replay: it came before, under another envelope',
    }
  return undefined
}

/** Every author's domain has to say so: one of them alone must not choose the mildest rule. */
function isAllowed(fields: readonly Field[], allows: (domain: string) => boolean): boolean {
  const authors = mailboxesIn(fields, 'from')
  return authors.length > 0 && authors.every((author) => allows(domainOf(author)))
}

/**
 * What a key that only one site and we have says about the author. The site can write what it likes into From: proven is no
 * more than that its gateway sealed this, and that the one author is of its domain.
 */
function siteText(site: string | undefined, { fields }: Message): string {
  if (site === undefined) return ''
  const authors = mailboxesIn(fields, 'from')
  const isItsOwn =
    fieldsNamed(fields, 'from').length === 1 &&
    authors.length === 1 &&
    domainOf(authors[0] ?? '') === site
  return `; site=${formatQuoted(site)}; from=${isItsOwn ? 'site' : 'unproven'}`
}

function domainOf(address: string): string {
  return address.slice(address.lastIndexOf('@') + 1).toLowerCase()
}

export async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes
}
