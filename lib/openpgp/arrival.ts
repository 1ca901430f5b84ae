// A message that arrives: opened by our own keys, for those whom it was meant for.
import { PermError } from '../errors.ts'
import { fieldsNamed, formatQuoted } from '../mail/header.ts'
import { closeBody, readMessage, type Message } from '../mail/message.ts'
import { mailboxesIn } from '../mail/address.ts'
import { restoreEntity, type Restored } from '../mail/protected-header.ts'
import type { Opening } from '../mail/scheme.ts'
import { judgeAuthor, type AuthorOptions } from './author.ts'
import { readEncrypted } from './mime.ts'
import { copies, wipe } from './openpgp.ts'
import type { Opened } from './opening.ts'
import { addressesOf, openingKeys, partsOf, type OwnKey, type OwnKeys } from './own-keys.ts'
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
    const held = await keys.contents()
    const found = await openWith(bytes, held, message, addresses, options)
    if (found) return await release(found, message, addresses, options)
    // An operator may have put the key there just now.
    const latest = await keys.latest()
    if (latest === held) return CLOSED
    const again = await openWith(bytes, latest, message, addresses, options)
    return again ? await release(again, message, addresses, options) : CLOSED
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
  readonly keys: readonly { readonly key: OwnKey; readonly domain: string }[]
}

async function openWith(
  bytes: Uint8Array,
  own: OwnKeys,
  { fields }: Message,
  addresses: readonly string[],
  { pool, settingsOf }: ArrivalOptions,
): Promise<Found | undefined> {
  const candidates = openingKeys(own, addresses)
  if (candidates.length === 0) return undefined
  const author = mailboxesIn(fields, 'from')[0] ?? ''
  const isLegacy =
    fieldsNamed(fields, 'from').length === 1 &&
    openPgpSettings(settingsOf(partsOf(author).domain.toLowerCase())).legacy
  const secretKeys = copies(candidates.map(({ secret }) => secret))
  try {
    const opened = await pool.run('open', {
      message: bytes,
      secretKeys,
      weakCiphers: isLegacy ? 'open' : 'refuse',
    })
    const domains = new Set(addresses.map((address) => partsOf(address).domain))
    const keys = [...domains].flatMap((domain) =>
      (own.get(domain)?.openpgp ?? [])
        .filter((key) => candidates.includes(key) && opened.openers.includes(key.id))
        .map((key) => ({ key, domain })),
    )
    return { opened, keys }
  } catch (error) {
    if (error instanceof PermError) return undefined
    throw error
  } finally {
    wipe(secretKeys)
  }
}

async function release(
  { opened, keys }: Found,
  outer: Message,
  addresses: readonly string[],
  options: ArrivalOptions,
): Promise<Opening> {
  const entity = await readMessage([opened.content])
  const restored = await restoreEntity(outer.fields, entity)
  const named = namedAddresses(restored, options)
  const meant = keys.flatMap(({ key, domain }) => {
    const { whole, addresses: theirs } = addressesOf(key, domain, addresses)
    // A key of the domain proves nothing of the user: anybody could send them what was sealed for another one.
    return whole ? theirs.filter((address) => isNamed(address, named, options)) : theirs
  })
  if (meant.length === 0) {
    await closeBody(restored.message)
    return CLOSED
  }
  const signature = await judgeAuthor(
    {
      content: opened.content,
      signatures: opened.signatures,
      fields: restored.message.fields,
      ...(restored.fromMismatch && { doubt: 'the author inside is not the one outside' }),
    },
    options,
  )
  return {
    status: 'opened',
    addresses: [...new Set(meant)],
    description: descriptionOf(opened, keys),
    signature,
    sealedKeyId: opened.sealedKeyId,
    message: restored.message,
  }
}

/** undefined: the inside names nobody. */
function namedAddresses(
  { addressees }: Restored,
  { normalizeAddress }: ArrivalOptions,
): ReadonlySet<string> | undefined {
  if (addressees === undefined) return undefined
  return new Set(
    addressees.flatMap((address) => {
      try {
        return [normalizeAddress(address)]
      } catch {
        return [] // no identity can have this name
      }
    }),
  )
}

function isNamed(
  address: string,
  named: ReadonlySet<string> | undefined,
  { opensUnbound }: ArrivalOptions,
): boolean {
  return named === undefined ? opensUnbound() : named.has(address)
}

function descriptionOf({ cipher, isWeak }: Opened, keys: Found['keys']): string {
  const ids = keys.map(({ key }) => formatQuoted(key.id)).join(',')
  return `openpgp; key=${ids}; cipher=${cipher}${isWeak ? '; strength=weak' : ''}`
}
