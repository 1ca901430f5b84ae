// What is owed to mail for a domain or an address: the words of the domain table, and what holds where it says nothing.
import { TRUST_SOURCES, type SchemeSettings, type TrustSource } from '../mail/scheme.ts'
import type { Floor, Transport } from '../mail/transport.ts'
import { EXEMPTIONS, type Exemption } from './exemption.ts'

export const ENCRYPT_MODES = ['never', 'opportunistic', 'required'] as const
export type EncryptMode = (typeof ENCRYPT_MODES)[number]
export const ON_LOOKUP_FAILURE = ['defer', 'send_plain'] as const
export type OnLookupFailure = (typeof ON_LOOKUP_FAILURE)[number]
/** What becomes of mail for a recipient who has no key. `hold`: it is kept here until there is one. */
export const ON_NO_KEY = ['reject', 'hold', 'send_plain'] as const
export type OnNoKey = (typeof ON_NO_KEY)[number]
/** What becomes of a reply to mail that came encrypted, where it would go in clear. */
export const REPLY_PLAIN = ['reject', 'hold', 'allow'] as const
export type ReplyPlain = (typeof REPLY_PLAIN)[number]
/** What becomes of a message whose signature is missing or bad. */
export const SIGNATURE_ACTIONS = ['accept', 'mark', 'reject'] as const
export type SignatureAction = (typeof SIGNATURE_ACTIONS)[number]
/** What becomes of mail whose encryption does not prove that nobody altered it on the way. */
export const UNPROVEN = ['close', 'open'] as const
export type Unproven = (typeof UNPROVEN)[number]

export interface DomainRule {
  /** As in the table: a domain, `*.domain`, `*`, or an address. */
  readonly pattern: string
  readonly encrypt: EncryptMode
  /** Names of schemes, the preferred one first. */
  readonly schemes: readonly string[]
  /** What the line says for them: each scheme knows its own keys. */
  readonly settings: SchemeSettings
  readonly onLookupFailure: OnLookupFailure
  readonly onNoKey: OnNoKey
  readonly replyPlain: ReplyPlain
  /** What is not encrypted, although there may be a key. */
  readonly exempt: readonly Exemption[]
  /** Where its public parameters may come from. */
  readonly paramsTrust: readonly TrustSource[]
  /** Of mail in its name, if it says in DNS that it signs. */
  readonly missingSignature: SignatureAction
  readonly failedSignature: SignatureAction
  /** Of mail in its name. */
  readonly unproven: Unproven
  /** What the way to its servers must be; by default what the domain itself promises. */
  readonly transport: Transport
  /** The least that mail to it gets. */
  readonly floor: Floor
}

/** What holds for a domain that no line of the table names. */
export const DEFAULT_RULE: DomainRule = {
  pattern: '(default)',
  encrypt: 'opportunistic',
  schemes: ['ibe', 'bb2'],
  settings: {},
  onLookupFailure: 'defer',
  onNoKey: 'send_plain',
  replyPlain: 'reject',
  exempt: EXEMPTIONS,
  paramsTrust: TRUST_SOURCES,
  missingSignature: 'accept',
  failedSignature: 'mark',
  unproven: 'close',
  transport: 'policy',
  floor: 'none',
}

/** Whether mail may not go in clear merely because there is no key. */
export function isOwed({ encrypt, onNoKey }: Pick<DomainRule, 'encrypt' | 'onNoKey'>): boolean {
  return encrypt === 'required' || (encrypt === 'opportunistic' && onNoKey !== 'send_plain')
}
