// Keys in DNS, of which only what DNSSEC vouches for counts: OPENPGPKEY (RFC 7929), SMIMEA (RFC 8162).
import { associationOf } from '../dane/association.ts'
import type { SmimeaRecord } from '../dns/records.ts'
import type { Resolver } from '../dns/resolver.ts'
import { PermError } from '../errors.ts'
import type { KeyFormat, KeyKind, PublicKey } from '../mail/correspondent-keys.ts'
import type { Finding, SmimeaUsage, SourceKey, TimedFinding } from './finding.ts'
import { dnsNameOf } from './names.ts'

/** RFC 6698 section 2.1, which RFC 8162 section 2 takes over. */
const USAGE = { authorities: [0, 2], certificates: [1, 3] } as const
const FULL = 0
const MAX_RECORDS = 16

/**
 * What stands under the first of the names that has anything. TempError dns/*: nobody can say; what DNSSEC finds false is a
 * SERVFAIL (RFC 4035 section 5.5).
 */
export async function findInDns(
  resolver: Pick<Resolver, 'resolve'>,
  format: KeyFormat,
  address: string,
  names: readonly string[],
): Promise<TimedFinding> {
  const find = format.kind === 'openpgp' ? openPgpKeys : certificates
  let absence = NO_SUCH_NAME
  for (const name of names) {
    const found = await find(resolver, format, address, name)
    if (found.finding.status !== 'none' || found.finding.constraints) return found
    const authentic = isProven(absence) && found.finding.authentic
    absence = none(authentic, Math.min(absence.ttlSeconds, found.ttlSeconds))
  }
  return absence
}

function isProven({ finding }: TimedFinding): boolean {
  return finding.status === 'none' && finding.authentic
}

async function openPgpKeys(
  resolver: Pick<Resolver, 'resolve'>,
  format: KeyFormat,
  address: string,
  name: string,
): Promise<TimedFinding> {
  const answer = await ask(() => resolver.resolve(name, 'OPENPGPKEY'))
  if (!answer) return NO_SUCH_NAME
  const { authentic, ttlSeconds } = answer
  // RFC 7929 section 5: without DNSSEC it is not used.
  if (answer.status !== 'found' || !authentic) return none(authentic, ttlSeconds)
  const { keys, problem } = await readAll(format, answer.records.slice(0, MAX_RECORDS))
  const own = keys.filter(({ addresses }) => addresses.includes(address)) // RFC 7929 section 2.1.1
  return { finding: foundOr(own, problem ?? 'no key in it is of this address'), ttlSeconds }
}

async function certificates(
  resolver: Pick<Resolver, 'resolve'>,
  format: KeyFormat,
  address: string,
  name: string,
): Promise<TimedFinding> {
  const answer = await ask(() => resolver.resolve(name, 'SMIMEA'))
  if (!answer) return NO_SUCH_NAME
  const { authentic, ttlSeconds } = answer
  // RFC 8162 section 2, as RFC 6698 section 4.1: what is not secure is not used.
  if (answer.status !== 'found' || !authentic) return none(authentic, ttlSeconds)
  const known = answer.records.slice(0, MAX_RECORDS).filter(isKnown)
  const keys: SourceKey[] = []
  let problem: string | undefined
  for (const { usage, selector, matchingType, certificate } of known) {
    const smimeaUsage = CERTIFICATE_USAGES.find((one) => one === usage)
    if (smimeaUsage === undefined || selector !== FULL || matchingType !== FULL) continue
    const read = await readAll(format, [certificate])
    problem ??= read.problem
    // RFC 7671 section 5.1: of usage 3 the record alone binds the name to the key, whatever the certificate says.
    const own = read.keys.filter(
      ({ addresses }) => smimeaUsage === 3 || addresses.includes(address),
    )
    keys.push(...own.map((key) => ({ ...key, smimeaUsage })))
    if (own.length === 0) problem ??= 'a certificate in it is of another address'
  }
  const constraints = known.filter(({ usage }) => isOneOf(USAGE.certificates, usage))
  if (keys.length === 0 && problem === undefined && constraints.length > 0)
    return { finding: { status: 'none', authentic, constraints }, ttlSeconds }
  // Records, and none of them of a kind that we know: as good as none (RFC 6698 section 4).
  if (keys.length === 0 && problem === undefined) return none(authentic, ttlSeconds)
  return { finding: foundOr(keys, problem ?? ''), ttlSeconds }
}

const CERTIFICATE_USAGES: readonly SmimeaUsage[] = USAGE.certificates

/** Whether one of the records names this certificate, and by which usage. */
export function usageNaming(
  records: readonly SmimeaRecord[],
  certificate: Uint8Array,
): SmimeaUsage | undefined {
  const matching = records.filter((record) => {
    try {
      return Buffer.compare(associationOf(certificate, record), record.certificate) === 0
    } catch (error) {
      if (error instanceof PermError) return false // no certificate
      throw error
    }
  })
  return CERTIFICATE_USAGES.toReversed().find((one) => matching.some(({ usage }) => usage === one))
}

/** The record that publishes a key, as a line for a zone file: of OpenPGP the certificate, of S/MIME usage 3. */
export function dnsRecordOf(kind: KeyKind, address: string, bytes: Uint8Array): string {
  const name = `${dnsNameOf(kind, address)}.`
  if (kind === 'openpgp') return `${name} IN OPENPGPKEY ${Buffer.from(bytes).toString('base64')}`
  return `${name} IN SMIMEA 3 0 0 ${Buffer.from(bytes).toString('hex')}`
}

function isKnown({ usage, selector, matchingType }: SmimeaRecord): boolean {
  const usages: readonly number[] = [...USAGE.authorities, ...USAGE.certificates]
  return usages.includes(usage) && selector <= 1 && matchingType <= 2
}

function isOneOf(numbers: readonly number[], one: number): boolean {
  return numbers.includes(one)
}

async function readAll(
  format: KeyFormat,
  records: readonly Uint8Array[],
): Promise<{ readonly keys: readonly PublicKey[]; readonly problem: string | undefined }> {
  const keys: PublicKey[] = []
  let problem: string | undefined
  for (const bytes of records) {
    try {
      keys.push(...(await format.read(bytes)))
    } catch (error) {
      if (!(error instanceof PermError)) throw error
      problem ??= error.message
    }
  }
  return { keys, problem }
}

const NO_SUCH_NAME: TimedFinding = none(true, Infinity)

/** Undefined: a name that no DNS can hold, and so nobody publishes. */
async function ask<T>(question: () => Promise<T>): Promise<T | undefined> {
  try {
    return await question()
  } catch (error) {
    if (error instanceof PermError) return undefined
    throw error
  }
}

function none(authentic: boolean, ttlSeconds: number): TimedFinding {
  return { finding: { status: 'none', authentic }, ttlSeconds }
}

function foundOr(keys: readonly SourceKey[], reason: string): Finding {
  return keys.length > 0 ? { status: 'found', keys } : { status: 'unusable', reason }
}
