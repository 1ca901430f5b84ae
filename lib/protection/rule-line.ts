// One line of the domain table, as it stands there: what it says, and nothing of what it takes from other lines.
import { TRUST_SOURCES, type SchemeKind, type SchemeSettings } from '../mail/scheme.ts'
import { FLOORS, TRANSPORTS } from '../mail/transport.ts'
import type { YamlFile } from '../yaml/document.ts'
import { list, mapping, oneOf } from '../yaml/values.ts'
import { asPattern, isAddressPattern } from './domain-pattern.ts'
import {
  ENCRYPT_MODES,
  ON_LOOKUP_FAILURE,
  ON_NO_KEY,
  REPLY_PLAIN,
  SIGNATURE_ACTIONS,
  UNPROVEN,
  type DomainRule,
} from './domain-rule.ts'
import { EXEMPTIONS } from './exemption.ts'

export type Said = Partial<Omit<DomainRule, 'pattern' | 'settings'>>

export interface RuleLine {
  readonly pattern: string
  /** Where it stands. */
  readonly path: readonly string[]
  readonly said: Said
  readonly settings: SchemeSettings
}

/** Of the way to a domain's servers, and of what comes from it: an address has none of its own. */
const OF_DOMAINS = [
  'missing_signature',
  'failed_signature',
  'unproven',
  'transport',
  'floor',
] as const

export const RULE_KEYS: readonly string[] = [
  'encrypt',
  'scheme',
  'schemes',
  'on_lookup_failure',
  'on_no_key',
  'reply_plain',
  'exempt',
  'params_trust',
  ...OF_DOMAINS,
]

/** PermError table/malformed, with file, line, column and key. */
export function parseLine(
  yaml: YamlFile,
  key: string,
  value: unknown,
  kinds: readonly SchemeKind[],
): RuleLine {
  const path = ['domains', key]
  const pattern = asPattern(key)
  if (!pattern) throw yaml.errorAt(path, 'not a domain name, *.domain, *, nor an address')
  const line = mapping(yaml, path, value)
  const ofSchemes = kinds.flatMap(({ settings = [] }) => settings)
  for (const name of Object.keys(line)) {
    if (!RULE_KEYS.includes(name) && !ofSchemes.includes(name))
      throw yaml.errorAt(
        [...path, name],
        `no such key (${[...RULE_KEYS, ...ofSchemes].join(', ')})`,
      )
    if (isAddressPattern(pattern) && OF_DOMAINS.some((one) => one === name))
      throw yaml.errorAt([...path, name], 'is for a domain, not for one address')
  }
  return {
    pattern,
    path,
    said: saidBy(
      yaml,
      path,
      line,
      kinds.map(({ name }) => name),
    ),
    settings: Object.fromEntries(Object.entries(line).filter(([name]) => ofSchemes.includes(name))),
  }
}

function saidBy(
  yaml: YamlFile,
  path: readonly string[],
  line: Record<string, unknown>,
  schemes: readonly string[],
): Said {
  const word = <T extends string>(name: string, known: readonly T[]): T | undefined =>
    line[name] === undefined ? undefined : oneOf(yaml, [...path, name], line[name], known)
  const words = <T extends string>(name: string, known: readonly T[]): T[] | undefined =>
    line[name] === undefined
      ? undefined
      : list(yaml, [...path, name], line[name]).map((one, at) =>
          oneOf(yaml, [...path, name, at], one, known),
        )
  const some = <T extends string>(name: string, known: readonly T[], what: string) => {
    const found = words(name, known)
    if (found?.length === 0) throw yaml.errorAt([...path, name], `must name at least one ${what}`)
    return found
  }
  const scheme = word('scheme', schemes)
  if (scheme !== undefined && line['schemes'] !== undefined)
    throw yaml.errorAt([...path, 'scheme'], 'stands for a list of one: not beside schemes')
  return withoutAbsent({
    encrypt: word('encrypt', ENCRYPT_MODES),
    schemes: scheme === undefined ? some('schemes', schemes, 'scheme') : [scheme],
    onLookupFailure: word('on_lookup_failure', ON_LOOKUP_FAILURE),
    onNoKey: word('on_no_key', ON_NO_KEY),
    replyPlain: word('reply_plain', REPLY_PLAIN),
    exempt: words('exempt', EXEMPTIONS),
    paramsTrust: some('params_trust', TRUST_SOURCES, 'source'),
    missingSignature: word('missing_signature', SIGNATURE_ACTIONS),
    failedSignature: word('failed_signature', SIGNATURE_ACTIONS),
    unproven: word('unproven', UNPROVEN),
    transport: word('transport', TRANSPORTS),
    floor: word('floor', FLOORS),
  })
}

type WithAbsent = { readonly [K in keyof Said]: Said[K] | undefined }

function withoutAbsent(said: WithAbsent): Said {
  return Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined))
}
