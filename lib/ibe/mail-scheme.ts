// Identity-based encryption as a scheme for mail: parameters from DNS, master keys from the vault.
import type { Clock } from '../clock.ts'
import { open, seal } from '../container/container.ts'
import { PermError, TempError } from '../errors.ts'
import { formatQuoted } from '../mail/header.ts'
import { messageBytes, readMessage } from '../mail/message.ts'
import {
  formatEncrypted,
  freshBoundary,
  isEncryptedMessage,
  parseEncrypted,
} from '../mail/multipart-encrypted.ts'
import type { Offer, Scheme, SchemeKind } from '../mail/scheme.ts'
import type { Directory } from './directory/directory.ts'
import type { Ibe } from './ibe.ts'
import { parseIdentity } from './identity.ts'
import type { KeySource } from './key-source.ts'
import { periodAt } from './period.ts'
import {
  bfIdentity,
  bfRecipient,
  BF_STANZA_TYPE,
  parseBfStanza,
  type BfStanza,
  type SkipReason,
} from './stanza.ts'

export const IBE: SchemeKind = { name: 'ibe' }

export interface IbeSchemeOptions {
  readonly ibe: Ibe
  readonly directory: Pick<Directory, 'encryptionParameters'>
  readonly clock: Clock
  readonly keys: Pick<KeySource, 'identityKey'>
}

export function createIbeScheme({ ibe, directory, clock, keys }: IbeSchemeOptions): Scheme {
  return {
    name: IBE.name,
    detect: isEncryptedMessage,

    async offer({ domain, trust }): Promise<Offer | undefined> {
      const found = await directory.encryptionParameters(domain, trust)
      if (!found) return undefined
      const { parameters, source, untrusted } = found
      return {
        scheme: 'ibe',
        description: `ibe-bf n=${parameters.n} (${source})`,
        ...(untrusted !== undefined && { untrusted }),
        seal: (addresses, message) => {
          const period = periodAt(parameters.period, clock.nowMs())
          const recipients = addresses.map((address) =>
            bfRecipient({
              ibe,
              parameters,
              identity: period === undefined ? address : `${address}#${period}`,
            }),
          )
          const file = seal(recipients, messageBytes(message))
          return formatEncrypted(message.fields, file, freshBoundary())
        },
      }
    },

    async open(message, addresses) {
      const skipped: string[] = []
      const wanted = new Set(addresses)
      const identity = bfIdentity({
        ibe,
        keys, // asked only for what names a recipient of ours
        accepts: (name) => wanted.has(parseIdentity(name).address),
        onSkip: (reason, stanza) => skipped.push(skipText(reason, stanza)),
      })
      try {
        const { stanzas, id, plaintext } = await open([identity], parseEncrypted(message))
        const opened = stanzas
          .filter((stanza) => stanza.type === BF_STANZA_TYPE)
          .map(parseBfStanza)
          .filter((stanza) => wanted.has(addressOf(stanza)))
        return {
          status: 'opened',
          addresses: opened.map(addressOf),
          description: `ibe-bf; n=${opened[0]?.n ?? 0}; identity=${formatQuoted(opened[0]?.identity ?? '')}`,
          sealedKeyId: id,
          message: await readMessage(plaintext),
        }
      } catch (error) {
        if (!(error instanceof PermError)) throw error
        // What is wrong with our own keys is not the message's fault: it waits until they are mended.
        if (error.code === 'vault/malformed')
          throw new TempError(error.code, error.message, { cause: error })
        const why = [`${error.code}: ${error.message}`, ...new Set(skipped)].join('; ')
        return { status: 'closed', reason: why }
      }
    },
  }
}

function addressOf(stanza: BfStanza): string {
  return parseIdentity(stanza.identity).address
}

function skipText(reason: SkipReason, { n, identity }: BfStanza): string {
  const { domain } = parseIdentity(identity)
  return reason === 'no-key'
    ? `no key n=${n} for ${domain} (retired, or never here)`
    : 'sealed for others too'
}
