// config/hisho.yaml: which domains are ours, and what is owed to mail for each other one. No secrets.
import type { SchemeKind } from '../mail/scheme.ts'
import { parseYaml, type YamlFile } from '../yaml/document.ts'
import { list, mapping } from '../yaml/values.ts'
import { asAddress, asDomain, isAddressPattern, patternsFor } from './domain-pattern.ts'
import { DEFAULT_RULE, type DomainRule } from './domain-rule.ts'
import { parseHostedPolicies, type HostedPolicy } from './hosted-policies.ts'
import { inheritedRule } from './inheritance.ts'
import { parseLine, type RuleLine } from './rule-line.ts'

export interface DomainTable {
  readonly local: ReadonlySet<string>
  /** By user name: the From addresses that are theirs, or `*@domain`. */
  readonly senders: ReadonlyMap<string, readonly string[]>
  /** Each line with what it takes from others. */
  readonly rules: readonly DomainRule[]
  /** The MTA-STS policies that domains of ours publish. */
  readonly policies: ReadonlyMap<string, HostedPolicy>
  isLocal(domain: string): boolean
  /** The most specific rule: the domain itself, then `*.` with the longest tail, then `*`, then the default. */
  ruleFor(domain: string): DomainRule
  /** What is owed to the content of mail for this address: its own line, or that of its domain. */
  ruleForAddress(address: string): DomainRule
}

const ROOT_KEYS: readonly string[] = ['local', 'senders', 'mta_sts', 'domains']

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
  return createDomainTable(
    local,
    parseRules(yaml, root['domains'] ?? {}, kinds),
    parseSenders(yaml, root['senders'] ?? {}),
    parseHostedPolicies(yaml, root['mta_sts'] ?? {}, local, asDomain),
  )
}

function parseRules(
  yaml: YamlFile,
  value: unknown,
  kinds: readonly SchemeKind[],
): readonly DomainRule[] {
  const lines = new Map<string, RuleLine>()
  for (const [key, said] of Object.entries(mapping(yaml, ['domains'], value))) {
    const line = parseLine(yaml, key, said, kinds)
    if (lines.has(line.pattern))
      throw yaml.errorAt(['domains', key], `stands here twice, as ${line.pattern}`)
    lines.set(line.pattern, line)
  }
  return [...lines.values()].map((line) => {
    const [, ...above] = patternsFor(line.pattern)
    const found = above.flatMap((pattern) => lines.get(pattern) ?? [])
    return inheritedRule(yaml, [line, ...found], kinds)
  })
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
  const hasAddresses = rules.some(({ pattern }) => isAddressPattern(pattern))
  const ruleFor = (domain: string): DomainRule => {
    const name = asDomain(domain) ?? domain.toLowerCase()
    for (const pattern of patternsFor(name)) {
      const rule = byPattern.get(pattern)
      if (rule) return rule
    }
    return DEFAULT_RULE
  }
  return {
    local: own,
    rules,
    senders,
    policies,
    // `<postmaster>` has no domain and is ours: RFC 5321 section 4.5.1.
    isLocal: (domain) => domain === '' || own.has(asDomain(domain) ?? ''),
    ruleFor,
    ruleForAddress: (address) => {
      const found = hasAddresses ? byPattern.get(asAddress(address) ?? '') : undefined
      return found ?? ruleFor(address.slice(address.lastIndexOf('@') + 1))
    },
  }
}
