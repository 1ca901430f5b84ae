// Trust in what was seen first: which records of one scheme count, given what is remembered of the domain and what it
// publishes now, without authentication. Nothing here asks, stores or verifies. docs/formats.md, "Remembered parameters".
import { isPast, nameOf, type Parameters } from '../parameters.ts'
import type { DomainRecord } from './records.ts'

/** So that a flood of signatures costs no more than this many pairings. */
const CLAIMS_MAX = 32
const REMEMBERED_MAX = 16

/** A record says that another generation has signed it. */
export interface Claim {
  readonly parameters: Parameters
  readonly signer: Parameters
  readonly signature: Uint8Array
}

export interface Judgement {
  /** What may be used now. */
  readonly use: readonly DomainRecord[]
  /** What is to be remembered from now on. */
  readonly remember: readonly DomainRecord[]
  /** Seen and left alone: not vouched for, and older than what is remembered. */
  readonly ignored: readonly DomainRecord[]
  /** Why `use` may not be what the domain publishes. */
  readonly untrusted?: string
}

/**
 * The claims that matter, those by remembered generations first. A generation that is older than the newest remembered
 * one vouches for nothing: its master key may be the reason for the rotation.
 */
export function claimsOf(
  remembered: readonly DomainRecord[],
  seen: readonly DomainRecord[],
): readonly Claim[] {
  const newest = highestSerial(remembered)
  const known = namesOf(remembered)
  const signers = [...remembered, ...seen].map(({ parameters }) => parameters)
  const claims: Claim[] = []
  for (const { parameters } of seen) {
    if (parameters.version !== '2.0' || known.has(nameOf(parameters))) continue
    for (const { n, signature } of parameters.signatures ?? []) {
      if (n < newest || n >= parameters.n) continue
      for (const signer of signers)
        if (signer.version === '2.0' && signer.n === n)
          claims.push({ parameters, signer, signature })
    }
  }
  const rank = ({ signer }: Claim): number => (known.has(nameOf(signer)) ? 0 : 1)
  return claims.toSorted((one, other) => rank(one) - rank(other)).slice(0, CLAIMS_MAX)
}

/** `proven`: the claims whose signatures are good. */
export function judge(
  remembered: readonly DomainRecord[],
  seen: readonly DomainRecord[],
  proven: readonly Claim[],
  nowSeconds: number,
): Judgement {
  if (remembered.length === 0) return firstContact(seen, nowSeconds)
  const trusted = [...remembered, ...vouchedFor(remembered, seen, proven)]
  const names = namesOf(trusted)
  const best = highestSerial(trusted)
  const present = seen.filter(({ parameters }) => names.has(nameOf(parameters)))
  const others = seen.filter(({ parameters }) => !names.has(nameOf(parameters)))
  const threats = others.filter(({ parameters }) => parameters.n >= best)
  const usable = trusted.filter(({ parameters }) => !isPast(parameters, nowSeconds))
  const last = highestSerial(usable)
  // An answer from before a rotation, or without it, does not lead back.
  const kept = present.some(({ parameters }) => parameters.n === last)
    ? []
    : usable.filter(({ parameters }) => parameters.n === last)
  const judgement = {
    use: [...present, ...kept],
    remember: newestOf(trusted),
    ignored: others.filter((record) => !threats.includes(record)),
  }
  if (threats.length > 0) return { ...judgement, untrusted: changeText(threats, best) }
  // What has ended by its own x may go.
  if (present.length === 0 && usable.length > 0)
    return { ...judgement, untrusted: `it publishes n=${last} no more, and nothing in its place` }
  return judgement
}

/** All are taken, but no two that contradict each other are remembered, nor what is over already. */
function firstContact(seen: readonly DomainRecord[], nowSeconds: number): Judgement {
  const fresh = distinct(seen).filter(({ parameters }) => !isPast(parameters, nowSeconds))
  const single = fresh.filter(({ parameters: { n } }) => countOf(fresh, n) === 1)
  const agreed = highestSerial(single) === highestSerial(fresh)
  return { use: seen, remember: agreed ? newestOf(single) : [], ignored: [] }
}

/**
 * By a chain that begins with what is remembered, in which the newest link alone may add another: so asking again finds the
 * same. Who signs two records of one serial vouches for neither.
 */
function vouchedFor(
  remembered: readonly DomainRecord[],
  seen: readonly DomainRecord[],
  proven: readonly Claim[],
): DomainRecord[] {
  const trusted = new Set(namesOf(remembered))
  const vouched: DomainRecord[] = []
  const unknown = distinct(seen).filter(({ parameters }) => !trusted.has(nameOf(parameters)))
  const serials = [...new Set(unknown.map(({ parameters }) => parameters.n))]
  for (const serial of serials.toSorted((one, other) => one - other)) {
    const newest = highestSerial([...remembered, ...vouched])
    const [record, ...more] = unknown.filter(
      ({ parameters }) =>
        parameters.n === serial &&
        proven.some(
          (claim) =>
            nameOf(claim.parameters) === nameOf(parameters) &&
            claim.signer.n >= newest &&
            trusted.has(nameOf(claim.signer)),
        ),
    )
    if (record === undefined || more.length > 0) continue
    trusted.add(nameOf(record.parameters))
    vouched.push(record)
  }
  return vouched
}

function changeText(threats: readonly DomainRecord[], best: number): string {
  const serials = [...new Set(threats.map(({ parameters }) => parameters.n))]
  const what = serials.map((n) => (n === best ? `another n=${n}` : `n=${n}`)).join(', ')
  return `it publishes ${what}, which nothing vouches for, where n=${best} is remembered`
}

function highestSerial(records: readonly DomainRecord[]): number {
  return Math.max(-1, ...records.map(({ parameters }) => parameters.n))
}

function newestOf(records: readonly DomainRecord[]): readonly DomainRecord[] {
  return records
    .toSorted((one, other) => other.parameters.n - one.parameters.n)
    .slice(0, REMEMBERED_MAX)
}

function namesOf(records: readonly DomainRecord[]): ReadonlySet<string> {
  return new Set(records.map(({ parameters }) => nameOf(parameters)))
}

function distinct(records: readonly DomainRecord[]): readonly DomainRecord[] {
  return [...new Map(records.map((record) => [nameOf(record.parameters), record])).values()]
}

function countOf(records: readonly DomainRecord[], serial: number): number {
  return records.filter(({ parameters }) => parameters.n === serial).length
}
