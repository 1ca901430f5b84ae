// Keys that two sites share as a scheme for mail: the CMS paper's table, a key and a cipher for each site. docs/shared-key.md.
import { domainToASCII } from 'node:url'
import { addressees, addresseesOf } from '../container/addressees.ts'
import { open, seal } from '../container/container.ts'
import { hasStanza } from '../container/message-start.ts'
import { PSK_STANZA_TYPE, pskIdentity, pskRecipient } from '../container/psk.ts'
import type { Identity } from '../container/stanza.ts'
import { isWeak, SUITES } from '../container/suite.ts'
import { PermError, TempError } from '../errors.ts'
import { formatQuoted } from '../mail/header.ts'
import { closeBody, messageBytes, readMessage, type Message } from '../mail/message.ts'
import { formatEncrypted, freshBoundary, parseEncrypted } from '../mail/multipart-encrypted.ts'
import type { Offer, Opening, Scheme, SchemeSettings } from '../mail/scheme.ts'
import {
  keyById,
  sendingKey,
  type FoundKey,
  type SharedKeys,
  type SharedKeySource,
} from './key-store.ts'
import { SHARED_KEY, sharedKeySettings } from './settings.ts'

export interface SharedKeySchemeOptions {
  readonly keys: SharedKeySource
  /** What the domain table says for a site, when mail of it is opened. */
  readonly settingsOf: (site: string) => SchemeSettings
}

export function createSharedKeyScheme({ keys, settingsOf }: SharedKeySchemeOptions): Scheme {
  return {
    name: SHARED_KEY.name,
    detect: (fields, start) => hasStanza(fields, start, PSK_STANZA_TYPE),

    async offer({ domain, settings }): Promise<Offer | undefined> {
      const { keyId, suite } = sharedKeySettings(settings)
      const site = domainToASCII(domain)
      const found = await withLatest(keys, (held) => sendingKey(held, site, keyId))
      if (!found) return undefined
      return {
        scheme: SHARED_KEY.name,
        description: `shared-key ${found.id} (${suite})`,
        seal(addresses, message) {
          const recipients = [pskRecipient(found.id, found.key.bytes), addressees(addresses)]
          const file = seal(recipients, messageBytes(message), suite)
          return formatEncrypted(message.fields, file, freshBoundary())
        },
      }
    },

    open: (message, addresses) => openFor(message, addresses, { keys, settingsOf }),
  }
}

/** What the keys at hand do not give, the vault's file may: an operator has just put it there. */
async function withLatest<T>(
  keys: SharedKeySource,
  find: (held: SharedKeys) => T | undefined,
): Promise<T | undefined> {
  try {
    const found = find(await keys.contents())
    if (found !== undefined) return found
  } catch (error) {
    if (!(error instanceof PermError)) throw error
  }
  return find(await keys.latest())
}

/** What was found out on the way. */
interface Attempt {
  readonly wanted: ReadonlySet<string>
  /** Those of the wanted addresses that the file names. */
  named: readonly string[]
  tried: FoundKey | undefined
  missing: string | undefined
}

async function openFor(
  message: Message,
  addresses: readonly string[],
  { keys, settingsOf }: SharedKeySchemeOptions,
): Promise<Opening> {
  const attempt: Attempt = {
    wanted: new Set(addresses),
    named: [],
    tried: undefined,
    missing: undefined,
  }
  try {
    const file = await open([siteIdentity(attempt, keys)], parseEncrypted(message), SUITES)
    const opened = await readMessage(file.plaintext)
    const { id, site } = attempt.tried ?? { id: '', site: '' }
    const weak = isWeak(file.suite)
    if (weak && !sharedKeySettings(settingsOf(site)).legacy) {
      await closeBody(opened)
      const reason = `${file.suite} is weak, and the table does not say legacy: true for ${site}`
      return { status: 'closed', reason: `crypto/unsupported: ${reason}` }
    }
    const strength = weak ? '; strength=weak' : ''
    return {
      status: 'opened',
      addresses: attempt.named,
      description: `shared-key; key=${formatQuoted(id)}; suite=${file.suite}${strength}`,
      site,
      sealedKeyId: file.id,
      message: opened,
    }
  } catch (error) {
    if (!(error instanceof PermError)) throw error
    // Its operators sent with a key before ours had it, or after it was retired: the mail waits there, and they are told.
    if (attempt.missing !== undefined && attempt.tried === undefined)
      throw new TempError('protection/no-key', `shared key ${attempt.missing}`, { cause: error })
    const others = attempt.named.length === 0 ? '; sealed for others' : ''
    return { status: 'closed', reason: `${error.code}: ${error.message}${others}` }
  }
}

/** Tries no key for a file that names none of the addresses. */
function siteIdentity(attempt: Attempt, keys: SharedKeySource): Identity {
  const shared = pskIdentity(async (keyId) => {
    const found = await withLatest(keys, (held) => keyById(held, keyId))
    if (found && found.retired === undefined) return (attempt.tried = found).key.bytes
    attempt.missing = `${JSON.stringify(keyId)} ${found ? 'is retired' : 'is not in the vault'}`
    return undefined
  })
  return {
    async unwrap(stanzas) {
      attempt.named = addresseesOf(stanzas).filter((address) => attempt.wanted.has(address))
      return attempt.named.length === 0 ? undefined : shared.unwrap(stanzas)
    },
  }
}
