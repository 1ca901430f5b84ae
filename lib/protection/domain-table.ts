// config/hisho.yaml: which domains are ours, and what is owed to mail for each other one. No secrets.
import { domainToASCII } from 'node:url'
import {
  TRUST_SOURCES,
  type SchemeKind,
  type SchemeSettings,
  type TrustSource,
} from '../mail/scheme.ts'
import { FLOORS, TRANSPORTS, type Floor, type Transport } from '../mail/transport.ts'
import { parseYaml, type YamlFile } from '../yaml/document.ts'
import { list, mapping, oneOf } from '../yaml/values.ts'
import { parseHostedPolicies, type HostedPolicy } from './hosted-policies.ts'

export type EncryptMode = 'never' | 'opportunistic' | 'required'
export type OnLookupFailure = 'defer' | 'send_plain'
/** What becomes of a message whose signature is missing or bad. */
export type SignatureAction = 'accept' | 'mark' | 'reject'

export interface DomainRule {
  /** As in the table: a domain, `*.domain`, or `*`. */
  readonly pattern: string
  readonly encrypt: EncryptMode
  /** Names of schemes, the preferred one first. */
  readonly schemes: readonly string[]
  /** What the line says for them: each scheme knows its own keys. */
  readonly settings: SchemeSettings
  readonly onLookupFailure: OnLookupFailure
  /** Where its public parameters may come from. */
  readonly paramsTrust: readonly TrustSource[]
  /** Of mail in its name, if it says in DNS that it signs. */
  readonly missingSignature: SignatureAction
  readonly failedSignature: SignatureAction
  /** What the way to its servers must be; by default what the domain itself promises. */
  readonly transport: Transport
  /** The least that mail to it gets. */
  readonly floor: Floor
}

export interface DomainTable {
  readonly local: ReadonlySet<string>
  /** By user name: the From addresses that are theirs, or `*@domain`. */
  readonly senders: ReadonlyMap<string, readonly string[]>
  readonly rules: readonly DomainRule[]
  /** The MTA-STS policies that domains of ours publish. */
  readonly policies: ReadonlyMap<string, HostedPolicy>
  isLocal(domain: string): boolean
  /** The most specific rule: the domain itself, then `*.` with the longest tail, then `*`, then the default. */
  ruleFor(domain: string): DomainRule
}

/** What holds for a domain that no line of the table names. */
export const DEFAULT_RULE: DomainRule = {
  pattern: '(default)',
  encrypt: 'opportunistic',
  schemes: ['ibe', 'bb2'],
  settings: {},
  onLookupFailure: 'defer',
  paramsTrust: TRUST_SOURCES,
  missingSignature: 'accept',
  failedSignature: 'mark',
  transport: 'policy',
  floor: 'none',
}

const ENCRYPT_MODES: readonly EncryptMode[] = ['never', 'opportunistic', 'required']
const ON_LOOKUP_FAILURE: readonly OnLookupFailure[] = ['defer', 'send_plain']
const SIGNATURE_ACTIONS: readonly SignatureAction[] = ['accept', 'mark', 'reject']
const UNAUTHENTICATED: readonly Transport[] = ['off', 'opportunistic', 'encrypt']
const ROOT_KEYS: readonly string[] = ['local', 'senders', 'mta_sts', 'domains']
const RULE_KEYS = new Set([
  'encrypt',
  'scheme',
  'schemes',
  'on_lookup_failure',
  'params_trust',
  'missing_signature',
  'failed_signature',
  'transport',
  'floor',
])

/** PermError table/malformed with file, line, column and key if anything in it is not as described. */
export function parseDomainTable(
  text: string,
  file: string,
  kinds: readonly SchemeKind[],
): DomainTable {
  const yaml = parseYaml(text, file, 'table/malformed')
  const root = mapping(yaml, [], yaml.data ?? {})
  for (const key of Object.keys(root)) {
    if (!ROOT_KEYS.includes(key)) throw yaml.errorAt([key], `no such key (${ROOT_KEYS.join(', ')})`)
  }
  const local = list(yaml, ['local'], root['local'] ?? []).map((domain, at) => {
    const name = typeof domain === 'string' ? asDomain(domain) : undefined
    if (!name) throw yaml.errorAt(['local', at], 'not a domain name')
    return name
  })
  const domains = mapping(yaml, ['domains'], root['domains'] ?? {})
  const seen = new Set<string>()
  const rules = Object.entries(domains).map(([key, value]) => {
    const rule = parseRule(yaml, key, value, kinds)
    if (seen.has(rule.pattern))
      throw yaml.errorAt(['domains', key], `stands here twice, as ${rule.pattern}`)
    seen.add(rule.pattern)
    return rule
  })
  return createDomainTable(
    local,
    rules,
    parseSenders(yaml, root['senders'] ?? {}),
    parseHostedPolicies(yaml, root['mta_sts'] ?? {}, local, asDomain),
  )
}

/** Shared mailboxes and aliases: `user: [sales@a.example, '*@b.example']`. */
function parseSenders(yaml: YamlFile, value: unknown): ReadonlyMap<string, readonly string[]> {
  return new Map(
    Object.entries(mapping(yaml, ['senders'], value)).map(([user, addresses]) => [
      user,
      list(yaml, ['senders', user], addresses).map((address, at) => {
        const [, local, domain = ''] = /^(.+)@([^@]+)$/su.exec(String(address)) ?? []
        const name = asDomain(domain)
        if (local === undefined || !name)
          throw yaml.errorAt(['senders', user, at], 'not an address, nor *@domain')
        return `${local}@${name}`
      }),
    ]),
  )
}

function createDomainTable(
  local: readonly string[],
  rules: readonly DomainRule[],
  senders: ReadonlyMap<string, readonly string[]>,
  policies: ReadonlyMap<string, HostedPolicy>,
): DomainTable {
  const own = new Set(local)
  const byPattern = new Map(rules.map((rule) => [rule.pattern, rule]))
  return {
    local: own,
    rules,
    senders,
    policies,
    // `<postmaster>` has no domain and is ours: RFC 5321 section 4.5.1.
    isLocal: (domain) => domain === '' || own.has(asDomain(domain) ?? ''),
    ruleFor: (domain) => {
      const name = asDomain(domain) ?? domain.toLowerCase()
      for (const pattern of patternsFor(name)) {
        const rule = byPattern.get(pattern)
        if (rule) return rule
      }
      return DEFAULT_RULE
    },
  }
}

/** `a.b.c` gives a.b.c, *.b.c, *.c, *. */
function patternsFor(name: string): string[] {
  const labels = name.split('.')
  return [name, ...labels.slice(1).map((_, at) => `*.${labels.slice(at + 1).join('.')}`), '*']
}

function parseRule(
  yaml: YamlFile,
  key: string,
  value: unknown,
  kinds: readonly SchemeKind[],
): DomainRule {
  const path = ['domains', key]
  const pattern = asPattern(key)
  if (!pattern) throw yaml.errorAt(path, 'not a domain name, *.domain or *')
  const rule = mapping(yaml, path, value)
  for (const name of Object.keys(rule)) {
    if (RULE_KEYS.has(name) || kinds.some(({ settings }) => settings?.includes(name))) continue
    const known = [...RULE_KEYS, ...kinds.flatMap(({ settings = [] }) => settings)]
    throw yaml.errorAt([...path, name], `no such key (${known.join(', ')})`)
  }
  const choice = <T extends string>(name: string, known: readonly T[], fallback: T): T =>
    oneOf(yaml, [...path, name], rule[name], known, fallback)
  const choices = <T extends string>(
    name: string,
    known: readonly T[],
    fallback: readonly T[],
    what: string,
  ): readonly T[] => {
    if (rule[name] === undefined) return fallback
    const found = list(yaml, [...path, name], rule[name]).map((word, at) =>
      oneOf(yaml, [...path, name, at], word, known),
    )
    if (found.length === 0) throw yaml.errorAt([...path, name], `must name at least one ${what}`)
    return found
  }
  const floor = choice('floor', FLOORS, DEFAULT_RULE.floor)
  const transport = choice('transport', TRANSPORTS, DEFAULT_RULE.transport)
  if (floor === 'transport' && UNAUTHENTICATED.includes(transport))
    throw yaml.errorAt([...path, 'transport'], `${transport} contradicts floor: transport`)
  const encrypt = choice(
    'encrypt',
    ENCRYPT_MODES,
    floor === 'content' ? 'required' : DEFAULT_RULE.encrypt,
  )
  if (floor === 'content' && encrypt !== 'required')
    throw yaml.errorAt([...path, 'encrypt'], `${encrypt} contradicts floor: content`)
  const onLookupFailure = choice(
    'on_lookup_failure',
    ON_LOOKUP_FAILURE,
    // What cannot be encrypted now gets the other: the floor sees to it on delivery.
    floor === 'either' && encrypt !== 'required' ? 'send_plain' : DEFAULT_RULE.onLookupFailure,
  )
  if (encrypt === 'required' && onLookupFailure === 'send_plain') {
    throw yaml.errorAt([...path, 'on_lookup_failure'], 'send_plain contradicts encrypt: required')
  }
  const names = kinds.map(({ name }) => name)
  if (rule['scheme'] !== undefined && rule['schemes'] !== undefined)
    throw yaml.errorAt([...path, 'scheme'], 'stands for a list of one: not beside schemes')
  const schemes =
    rule['scheme'] === undefined
      ? choices('schemes', names, DEFAULT_RULE.schemes, 'scheme')
      : [oneOf(yaml, [...path, 'scheme'], rule['scheme'], names)]
  return {
    pattern,
    encrypt,
    schemes,
    settings: parseSettings(yaml, path, rule, kinds),
    onLookupFailure,
    paramsTrust: choices('params_trust', TRUST_SOURCES, DEFAULT_RULE.paramsTrust, 'source'),
    missingSignature: choice('missing_signature', SIGNATURE_ACTIONS, DEFAULT_RULE.missingSignature),
    failedSignature: choice('failed_signature', SIGNATURE_ACTIONS, DEFAULT_RULE.failedSignature),
    transport,
    floor,
  }
}

/** The keys that belong to schemes. One whose scheme is not used for the domain is allowed: what arrives may be of it. */
function parseSettings(
  yaml: YamlFile,
  path: readonly string[],
  rule: Record<string, unknown>,
  kinds: readonly SchemeKind[],
): SchemeSettings {
  const own = kinds.flatMap(({ settings = [] }) => settings)
  const settings = Object.fromEntries(Object.entries(rule).filter(([name]) => own.includes(name)))
  for (const kind of kinds) {
    const problem = kind.problemWith?.(settings)
    if (problem) throw yaml.errorAt([...path, problem.key], problem.reason)
  }
  return settings
}

function asPattern(key: string): string | undefined {
  if (key === '*') return key
  if (!key.startsWith('*.')) return asDomain(key)
  const tail = asDomain(key.slice(2))
  return tail && `*.${tail}`
}

const LABEL = '[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?'
const NAME = new RegExp(`^(?:${LABEL}\\.)*${LABEL}$`)

/** As nearly all names come: nothing to be mapped, no A-label to be checked, and not the look of an address. */
const PLAIN_NAME = new RegExp(`^(?:(?!xn--)${LABEL}\\.)*(?!xn--)[a-z][a-z0-9-]{0,61}[a-z0-9]$`)

function asDomain(text: string): string | undefined {
  if (PLAIN_NAME.test(text)) return text
  // domainToASCII is a URL's: it would cut at '/', '?' and '#', and decode %62.
  if (/[^\w.\-\u0080-\u{10ffff}]/u.test(text)) return undefined
  const name = domainToASCII(text.replace(/\.$/, '')).toLowerCase()
  return NAME.test(name) ? name : undefined
}
