// A message that arrives: opened by our own keys, for those whom it was meant for.
import { PermError } from '../errors.ts'
import { fieldsNamed, formatQuoted } from '../mail/header.ts'
import { LARGE_BYTES, piecesOf } from '../mail/large-bytes.ts'
import { closeBody, readMessage, type Message } from '../mail/message.ts'
import { mailboxesIn } from '../mail/address.ts'
import { isNamedInside } from '../mail/binding.ts'
import { keysToOpenFor, partsOf, type Candidate } from '../mail/own-mail-keys.ts'
import { restoreEntity } from '../mail/protected-header.ts'
import type { Opening } from '../mail/scheme.ts'
import { judgeAuthor, type AuthorOptions } from './author.ts'
import { readEncrypted } from './mime.ts'
import { copies, wipe } from './openpgp.ts'
import type { Opened } from './opening.ts'
import type { OwnKey, OwnKeys } from './own-keys.ts'
import { openPgpSettings } from './settings.ts'

export interface ArrivalOptions extends AuthorOptions {
  /** Whether a key of the whole domain opens what does not name its recipients inside. */
  readonly opensUnbound: () => boolean
}

/** One text, whatever the reason: RFC 9580 section 13.4 and others on oracles. */
const CLOSED: Opening = { status: 'closed', reason: 'openpgp/decrypt: the message does not open' }

export async function openFor(
  message: Message,
  addresses: readonly string[],
  options: ArrivalOptions,
): Promise<Opening> {
  try {
    const bytes = await readEncrypted(message)
    const { keys } = options
    // What is large is given away at the first try.
    const isLarge = bytes.length >= LARGE_BYTES
    const held = await (isLarge ? keys.latest() : keys.contents())
    const found = await openWith(bytes, held, message, addresses, options)
    if (found) return await release(found, message, options)
    if (isLarge) return CLOSED
    // An operator may have put the key there just now.
    const latest = await keys.latest()
    if (latest === held) return CLOSED
    const again = await openWith(bytes, latest, message, addresses, options)
    return again ? await release(again, message, options) : CLOSED
  } catch (error) {
    if (error instanceof PermError) return CLOSED
    throw error
  } finally {
    await closeBody(message)
  }
}

interface Found {
  readonly opened: Opened
  /** Of ours, for which the message is sealed. */
  readonly openers: readonly Candidate<OwnKey>[]
}

async function openWith(
  bytes: Uint8Array,
  own: OwnKeys,
  { fields }: Message,
  addresses: readonly string[],
  { pool, settingsOf }: ArrivalOptions,
): Promise<Found | undefined> {
  const candidates = keysToOpenFor((domain) => own.get(domain)?.openpgp ?? [], addresses)
  if (candidates.length === 0) return undefined
  const author = mailboxesIn(fields, 'from')[0] ?? ''
  const isLegacy =
    fieldsNamed(fields, 'from').length === 1 &&
    openPgpSettings(settingsOf(partsOf(author).domain.toLowerCase())).legacy
  const secretKeys = copies(candidates.map(({ key }) => key.secret))
  try {
    const opened = await pool.run(
      'open',
      { message: bytes, secretKeys, weakCiphers: isLegacy ? 'open' : 'refuse' },
      bytes.length >= LARGE_BYTES ? 'give' : 'keep',
    )
    const openers = candidates.filter(({ key }) => opened.openers.includes(key.id))
    return { opened, openers }
  } catch (error) {
    if (error instanceof PermError) return undefined
    throw error
  } finally {
    wipe(secretKeys)
  }
}

async function release(
  { opened, openers }: Found,
  outer: Message,
  options: ArrivalOptions,
): Promise<Opening> {
  const { content, signatures, digests } = opened
  const entity = await readMessage(piecesOf(content))
  const restored = await restoreEntity(outer.fields, entity)
  const meant = openers.flatMap(({ isOfDomain, addresses }) =>
    isOfDomain ? addresses.filter((one) => isNamedInside(one, restored, options)) : addresses,
  )
  if (meant.length === 0) {
    await closeBody(restored.message)
    return CLOSED
  }
  const signature = await judgeAuthor(
    {
      ...(content.length < LARGE_BYTES ? { content } : { content: new Uint8Array(), digests }),
      signatures,
      fields: restored.message.fields,
      ...(restored.fromMismatch && { doubt: 'the author inside is not the one outside' }),
    },
    options,
  )
  return {
    status: 'opened',
    addresses: [...new Set(meant)],
    description: descriptionOf(opened, openers),
    signature,
    sealedKeyId: opened.sealedKeyId,
    message: restored.message,
  }
}

function descriptionOf({ cipher, isWeak }: Opened, openers: readonly Candidate<OwnKey>[]): string {
  const ids = openers.map(({ key }) => formatQuoted(key.id)).join(',')
  return `openpgp; key=${ids}; cipher=${cipher}${isWeak ? '; strength=weak' : ''}`
}
