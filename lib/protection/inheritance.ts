// The rule of a line of the domain table: what it does not say it takes from the less specific lines that speak for the same
// mail, and at last from the defaults. A contradiction that arises so is an error as any other.
import type { SchemeKind } from '../mail/scheme.ts'
import type { Transport } from '../mail/transport.ts'
import type { YamlFile } from '../yaml/document.ts'
import { DEFAULT_RULE, isOwed, type DomainRule } from './domain-rule.ts'
import { EXEMPTIONS } from './exemption.ts'
import type { RuleLine, Said } from './rule-line.ts'

const UNAUTHENTICATED: readonly Transport[] = ['off', 'opportunistic', 'encrypt']

/** A value and the line that says it, counted from the most specific one: 0 is the line itself. */
interface Found<T> {
  readonly value: T
  readonly distance: number
  readonly pattern: string
}

/** `lines`: the line itself, then those less specific, in order. PermError table/malformed at the line itself. */
export function inheritedRule(
  yaml: YamlFile,
  lines: readonly [RuleLine, ...RuleLine[]],
  kinds: readonly SchemeKind[],
): DomainRule {
  const [{ pattern, path }] = lines
  const find = <K extends keyof Said>(name: K): Found<NonNullable<Said[K]>> | undefined => {
    const distance = lines.findIndex(({ said }) => said[name] !== undefined)
    const value = lines[distance]?.said[name]
    return value === undefined
      ? undefined
      : { value, distance, pattern: lines[distance]?.pattern ?? '' }
  }
  const valueOf = <K extends keyof Said>(name: K): NonNullable<Said[K]> =>
    find(name)?.value ?? DEFAULT_RULE[name]
  const contradiction = (key: string, what: Found<string>, other: string) => {
    const from = what.distance === 0 ? '' : ` (of ${what.pattern})`
    return yaml.errorAt([...path, key], `${what.value}${from} contradicts ${other}`)
  }

  const floor = valueOf('floor')
  const transport = find('transport')
  if (floor === 'transport' && transport && UNAUTHENTICATED.includes(transport.value))
    throw contradiction('transport', transport, 'floor: transport')

  const asked = find('encrypt')
  // A floor of content says that encryption is required, as far as no line that is more specific speaks of it.
  const floorDistance = find('floor')?.distance ?? Infinity
  const isRaised = floor === 'content' && (asked?.distance ?? Infinity) > floorDistance
  const encrypt = isRaised ? 'required' : (asked?.value ?? DEFAULT_RULE.encrypt)
  if (asked && floor === 'content' && encrypt !== 'required')
    throw contradiction('encrypt', asked, 'floor: content')
  const isRequired = encrypt === 'required'

  const onNoKey = find('onNoKey')
  if (isRequired && onNoKey?.value === 'send_plain')
    throw contradiction('on_no_key', onNoKey, 'encrypt: required')
  const mustWait = isOwed({ encrypt, onNoKey: onNoKey?.value ?? DEFAULT_RULE.onNoKey })

  const onLookupFailure = find('onLookupFailure')
  if (onLookupFailure?.value === 'send_plain' && isRequired)
    throw contradiction('on_lookup_failure', onLookupFailure, 'encrypt: required')
  if (onLookupFailure?.value === 'send_plain' && mustWait)
    throw contradiction('on_lookup_failure', onLookupFailure, `on_no_key: ${onNoKey?.value}`)

  return {
    pattern,
    encrypt,
    schemes: valueOf('schemes'),
    settings: inheritedSettings(yaml, lines, kinds),
    // What cannot be encrypted now gets the other: the floor sees to it on delivery.
    onLookupFailure:
      onLookupFailure?.value ?? (floor === 'either' && !mustWait ? 'send_plain' : 'defer'),
    onNoKey: onNoKey?.value ?? (isRequired ? 'reject' : DEFAULT_RULE.onNoKey),
    replyPlain: valueOf('replyPlain'),
    exempt: exemptFrom(isRequired, find('exempt'), isRaised ? floorDistance : asked?.distance),
    paramsTrust: valueOf('paramsTrust'),
    missingSignature: valueOf('missingSignature'),
    failedSignature: valueOf('failedSignature'),
    unproven: valueOf('unproven'),
    transport: valueOf('transport'),
    floor,
  }
}

/** Where encryption is required anybody could call a message a report: exempt is what was named for that very line, or below. */
function exemptFrom(
  isRequired: boolean,
  named: Found<DomainRule['exempt']> | undefined,
  requiredAt: number | undefined,
): DomainRule['exempt'] {
  if (!isRequired) return named?.value ?? EXEMPTIONS
  return named && named.distance <= (requiredAt ?? Infinity) ? named.value : []
}

/** The keys that belong to schemes. One whose scheme is not used for the domain is allowed: what arrives may be of it. */
function inheritedSettings(
  yaml: YamlFile,
  lines: readonly [RuleLine, ...RuleLine[]],
  kinds: readonly SchemeKind[],
): DomainRule['settings'] {
  const settings = Object.assign({}, ...lines.toReversed().map((line) => line.settings)) as Record<
    string,
    unknown
  >
  for (const kind of kinds) {
    const problem = kind.problemWith?.(settings)
    if (problem) throw yaml.errorAt([...lines[0].path, problem.key], problem.reason)
  }
  return settings
}
