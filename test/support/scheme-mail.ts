// What the tests of schemes share that have keys of users and of domains: a letter, what it becomes, and who has which key.
import type { CorrespondentKeys, FoundKey } from '../../lib/mail/correspondent-keys.ts'
import { collect, messageBytes, readMessage } from '../../lib/mail/message.ts'
import type { Opening, Scheme, SchemeSettings } from '../../lib/mail/scheme.ts'
import { bytesOf, latin1 } from '../mail/pieces.ts'

export const ALICE = 'alice@a.example'
export const BOB = 'bob@b.example'

/** What must be said of a key; the rest is that of an operator's own file. */
type Named = Partial<FoundKey> & Pick<FoundKey, 'fingerprint' | 'bytes'>

/** `known`: by address, or by domain. */
export function correspondentsIn<Found>(
  known: Readonly<Record<string, readonly Found[]>>,
  keyOf: (found: Found) => Named,
  harvested: { address: string; bytes: Uint8Array }[] = [],
): CorrespondentKeys {
  return {
    async find(_kind, name, sources) {
      const own = known[name] ?? []
      const found = own.length > 0 ? own : (known[name.slice(name.lastIndexOf('@') + 1)] ?? [])
      return found
        .map((one) => ({
          addresses: [name],
          source: 'operator' as const,
          isOfDomain: own.length === 0,
          ...keyOf(one),
        }))
        .filter(({ source }) => sources.includes(source))
    },
    harvest: async (_kind, address, bytes) => void harvested.push({ address, bytes }),
  }
}

export function letter(
  fields: Readonly<Record<string, string>> = {},
  body = 'the secret\r\n',
): string {
  const header = {
    From: `Alice <${ALICE}>`,
    To: BOB,
    Subject: 'about the secret',
    Date: 'Sun, 22 Nov 2026 05:00:00 +0000',
    'Message-ID': '<1@a.example>',
    ...fields,
  }
  const lines = Object.entries(header).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${lines.join('')}\r\n${body}`
}

export interface SealOptions {
  readonly to?: readonly string[]
  readonly author?: string | undefined
  readonly settings?: SchemeSettings
}

/** The message on the wire. */
export async function sealed(
  scheme: Scheme,
  message: string | Uint8Array,
  { to = [BOB], author, settings = {} }: SealOptions = {},
): Promise<Uint8Array> {
  const [first = ''] = to
  const domain = first.slice(first.lastIndexOf('@') + 1)
  const offer = await scheme.offer({ domain, addresses: to, trust: [], settings })
  if (!offer) throw new Error('no offer')
  const bytes = typeof message === 'string' ? bytesOf(message) : message
  return collect(messageBytes(offer.seal(to, await readMessage([bytes]), { author })))
}

export async function opened(
  scheme: Scheme,
  wire: string | Uint8Array,
  to: readonly string[] = [BOB],
): Promise<Opening> {
  const bytes = typeof wire === 'string' ? bytesOf(wire) : wire
  return scheme.open(await readMessage([bytes]), to)
}

export async function textOf(opening: Opening): Promise<string> {
  if (opening.status === 'closed') return `closed: ${opening.reason}`
  return latin1(await collect(messageBytes(opening.message)))
}
