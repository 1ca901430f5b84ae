// age as a scheme for mail: recipients from the domain table, identities of our own from the vault. c2sp.org/age, docs/age.md.
import { addressees, addresseesOf } from '../container/addressees.ts'
import { open, seal } from '../container/container.ts'
import { HYBRID_STANZA_TYPE } from '../container/hybrid.ts'
import { hasStanza } from '../container/message-start.ts'
import { ageIdentity, ageKindOf, ageRecipient, type AgeKind } from '../container/native-keys.ts'
import type { Identity } from '../container/stanza.ts'
import { X25519_STANZA_TYPE } from '../container/x25519.ts'
import type { SecretBytes } from '../crypto/secret-bytes.ts'
import { PermError } from '../errors.ts'
import { formatQuoted } from '../mail/header.ts'
import { messageBytes, readMessage, type Message } from '../mail/message.ts'
import { formatEncrypted, freshBoundary, parseEncrypted } from '../mail/multipart-encrypted.ts'
import type { Opening, Scheme } from '../mail/scheme.ts'
import { AGE, ageRecipients, recipientsFor } from './settings.ts'

/** An identity of one of our domains. */
export interface OwnIdentity {
  readonly id: string
  /** `AGE-SECRET-KEY-...` */
  readonly identity: SecretBytes
  readonly retired?: string
}

/** By domain. */
export type OwnIdentities = ReadonlyMap<string, { readonly age: readonly OwnIdentity[] }>

/** Where they are: the vault. TempError vault/locked while it cannot be opened. */
export interface IdentitySource {
  contents(): Promise<OwnIdentities>
  /** As `contents`, after a look at the file. */
  latest(): Promise<OwnIdentities>
}

export function createAgeScheme({ identities }: { readonly identities: IdentitySource }): Scheme {
  const keys = createKeyCache()
  return {
    name: AGE.name,
    detect: (fields, start) =>
      [X25519_STANZA_TYPE, HYBRID_STANZA_TYPE].some((type) => hasStanza(fields, start, type)),

    async offer({ settings }) {
      const known = ageRecipients(settings)
      if (!known) return undefined
      const [first = ''] = [...known.values()].flat()
      return {
        scheme: AGE.name,
        description: `age (${ageKindOf(first)})`,
        seal(addresses, message) {
          const recipients = recipientsFor(known, addresses).map(ageRecipient)
          const file = seal([...recipients, addressees(addresses)], messageBytes(message))
          return formatEncrypted(message.fields, file, freshBoundary())
        },
      }
    },

    open: (message, addresses) => openFor(message, new Set(addresses), identities, keys),
  }
}

/** To make a key of its text takes longer than to use it. */
function createKeyCache(): (entry: OwnIdentity) => { key: Identity; kind: AgeKind } {
  const made = new WeakMap<OwnIdentity, { key: Identity; kind: AgeKind }>()
  return (entry) => {
    const held = made.get(entry)
    if (held) return held
    const text = Buffer.from(entry.identity.bytes).toString('latin1')
    const fresh = { key: ageIdentity(text), kind: ageKindOf(text) }
    made.set(entry, fresh)
    return fresh
  }
}

interface Found {
  readonly id: string
  readonly kind: AgeKind
  /** Those of the wanted addresses that the file names, of the identity's domain. */
  readonly named: readonly string[]
}

async function openFor(
  message: Message,
  wanted: ReadonlySet<string>,
  identities: IdentitySource,
  keys: ReturnType<typeof createKeyCache>,
): Promise<Opening> {
  let found: Found | undefined
  let named: readonly string[] = []
  const identity: Identity = {
    async unwrap(stanzas) {
      named = addresseesOf(stanzas).filter((address) => wanted.has(address))
      const tryAll = async (own: OwnIdentities): Promise<Uint8Array | undefined> => {
        for (const [domain, members] of byDomain(named)) {
          for (const entry of own.get(domain)?.age ?? []) {
            if (entry.retired !== undefined) continue
            const { key, kind } = keys(entry)
            const fileKey = await key.unwrap(stanzas)
            if (fileKey === undefined) continue
            found = { id: entry.id, kind, named: members }
            return fileKey
          }
        }
        return undefined
      }
      if (named.length === 0) return undefined // for others: no vault is looked into
      const held = await identities.contents()
      const fileKey = await tryAll(held)
      if (fileKey) return fileKey
      const latest = await identities.latest()
      return latest === held ? undefined : tryAll(latest)
    },
  }
  try {
    const { id, plaintext } = await open([identity], parseEncrypted(message))
    const opened = await readMessage(plaintext)
    return {
      status: 'opened',
      addresses: found?.named ?? [],
      description: `age; key=${formatQuoted(found?.id ?? '')}; kem=${found?.kind}`,
      sealedKeyId: id,
      message: opened,
    }
  } catch (error) {
    if (!(error instanceof PermError)) throw error
    const others = named.length === 0 ? '; sealed for others' : ''
    return { status: 'closed', reason: `${error.code}: ${error.message}${others}` }
  }
}

function byDomain(addresses: readonly string[]): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const address of addresses) {
    const domain = address.slice(address.lastIndexOf('@') + 1)
    found.set(domain, [...(found.get(domain) ?? []), address])
  }
  return found
}
