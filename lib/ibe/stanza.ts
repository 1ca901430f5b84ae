// `hisho/bf`, the recipient stanza of this scheme: docs/formats.md, "The container".
import { randomBytes } from 'node:crypto'
import { openFileKey, SALT_BYTES, sealFileKey } from '../container/sealed-key.ts'
import { decodeArgument, encodeBase64, stanzasOfType } from '../container/stanza.ts'
import type { Identity, Recipient, Stanza } from '../container/stanza.ts'
import type { SecretBytes } from '../crypto/secret-bytes.ts'
import { PermError } from '../errors.ts'
import { decryptError, ENCAPSULATION_BYTES } from './boneh-franklin.ts'
import type { Ibe } from './ibe.ts'
import { parseIdentity } from './identity.ts'
import type { KeySource } from './key-source.ts'
import type { Parameters } from './parameters.ts'
import { parseSerial } from './tag-list.ts'

export const BF_STANZA_TYPE = 'hisho/bf'

// A sender writes one stanza for an identity. Each that does not open has cost a pairing.
const FAILURES_MAX = 8

/** What a `hisho/bf` stanza says, in clear. */
export interface BfStanza {
  readonly n: number
  readonly identity: string
  readonly encapsulation: Uint8Array
  readonly salt: Uint8Array
  readonly sealed: Uint8Array
}

export interface BfRecipientOptions {
  readonly ibe: Pick<Ibe, 'encapsulate'>
  readonly parameters: Parameters<'bf'>
  /** As `formatIdentity` gives it. */
  readonly identity: string
}

export function bfRecipient({ ibe, parameters, identity }: BfRecipientOptions): Recipient {
  const { n, publicKey } = parameters
  parseIdentity(identity)
  return {
    async wrap(fileKey) {
      const { kek, encapsulation } = await ibe.encapsulate({ publicKey, n, identity })
      try {
        const salt = new Uint8Array(randomBytes(SALT_BYTES))
        return [formatBfStanza({ n, identity, encapsulation, salt, kek: kek.bytes, fileKey })]
      } finally {
        kek.wipe()
      }
    },
  }
}

/** Why a stanza of ours was left alone. */
export type SkipReason = 'not-accepted' | 'no-key'

export interface BfIdentityOptions {
  readonly ibe: Pick<Ibe, 'decapsulate'>
  readonly keys: Pick<KeySource, 'identityKey'>
  /** Whether mail for this identity may be opened here and now: its address is a recipient of this message. */
  readonly accepts: (identity: string) => boolean
  readonly onSkip?: (reason: SkipReason, stanza: BfStanza) => void
}

/** Throws PermError ibe/decrypt if stanzas were tried and none opened. */
export function bfIdentity(options: BfIdentityOptions): Identity {
  return {
    async unwrap(stanzas) {
      const ours = stanzasOfType(stanzas, BF_STANZA_TYPE, 4).map(parseBfStanza)
      let failures = 0
      for (const stanza of ours) {
        const identityKey = await identityKeyFor(stanza, options)
        if (identityKey === undefined) continue
        const fileKey = await openBfStanza(stanza, identityKey, options.ibe)
        if (fileKey !== undefined) return fileKey
        if (++failures === FAILURES_MAX) break
      }
      if (failures > 0) throw decryptError()
      return undefined
    },
  }
}

/** PermError container/malformed, whatever is wrong. */
export function parseBfStanza(stanza: Stanza): BfStanza {
  const [n = '', identity = '', encapsulation = '', salt = ''] = stanza.args
  return {
    ...parseNames(n, identity),
    encapsulation: decodeArgument(encapsulation, ENCAPSULATION_BYTES),
    salt: decodeArgument(salt, SALT_BYTES),
    sealed: stanza.body,
  }
}

function parseNames(serial: string, encoded: string): { n: number; identity: string } {
  const bytes = Buffer.from(encoded, 'base64url')
  try {
    if (bytes.toString('base64url') !== encoded) throw new TypeError('not canonical base64url')
    const identity = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    parseIdentity(identity)
    return { n: parseSerial(serial), identity }
  } catch (cause) {
    const message = `a ${BF_STANZA_TYPE} stanza has a malformed serial or identity`
    throw new PermError('container/malformed', message, { cause })
  }
}

interface Wrapping {
  readonly n: number
  readonly identity: string
  readonly encapsulation: Uint8Array
  readonly salt: Uint8Array
  readonly kek: Uint8Array
  readonly fileKey: Uint8Array
}

/** The stanza under a KEK that is known. The salt is fresh: the same one with the same KEK breaks the seal. */
export function formatBfStanza(wrapping: Wrapping): Stanza {
  const { n, identity, encapsulation, salt, kek, fileKey } = wrapping
  const names = nameArguments(n, identity)
  return {
    type: BF_STANZA_TYPE,
    args: [...names, encodeBase64(encapsulation), encodeBase64(salt)],
    body: sealFileKey(kek, salt, BF_STANZA_TYPE, names, fileKey),
  }
}

function nameArguments(n: number, identity: string): [string, string] {
  return [String(n), Buffer.from(identity).toString('base64url')]
}

async function identityKeyFor(
  stanza: BfStanza,
  { accepts, onSkip, keys }: BfIdentityOptions,
): Promise<SecretBytes | undefined> {
  const { identity, n } = stanza
  if (!accepts(identity)) {
    onSkip?.('not-accepted', stanza)
    return undefined
  }
  const { domain } = parseIdentity(identity)
  const identityKey = await keys.identityKey({ scheme: 'bf', domain, n, identity })
  if (identityKey === undefined) onSkip?.('no-key', stanza)
  return identityKey
}

/** Wipes the identity key. */
async function openBfStanza(
  stanza: BfStanza,
  identityKey: SecretBytes,
  ibe: Pick<Ibe, 'decapsulate'>,
): Promise<Uint8Array | undefined> {
  const { n, identity, encapsulation, salt, sealed } = stanza
  try {
    const kek = await ibe.decapsulate({ identityKey, n, identity, encapsulation })
    try {
      const names = nameArguments(n, identity)
      return openFileKey(kek.bytes, salt, BF_STANZA_TYPE, names, sealed)
    } finally {
      kek.wipe()
    }
  } catch (error) {
    if (error instanceof PermError && error.code === 'ibe/decrypt') return undefined
    throw error
  } finally {
    identityKey.wipe()
  }
}
