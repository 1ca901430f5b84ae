// A report of anybody's, read: RFC 8460 section 4.4, with the deviations of real senders forgiven. What a stranger wrote is
// bounded in number and length, and has no characters that would do something to a terminal (section 7).
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { PermError } from '../errors.ts'
import { asciiLower, instantOf, safeText } from './received/plain-text.ts'
import { domainOf, Reading, type Fields } from './received/reading.ts'
import type { ReceivedPolicy, ReceivedReport } from './received/report.ts'
import { formatAddress, type FailureDetail } from './report.ts'

export interface ReportLimits {
  /** As it came. */
  readonly sizeBytes: number
  /** Out of gzip. */
  readonly inflatedBytes: number
}

export const REPORT_LIMITS: ReportLimits = {
  sizeBytes: 2 * 1024 * 1024,
  inflatedBytes: 4 * 1024 * 1024,
}

/** So much comes out of few bytes without being a bomb; beyond it, no more than this for each byte. */
const FREE_BYTES = 64 * 1024
const MAX_RATIO = 200
/** Objects and arrays; a report has one for each row of its details. */
const MAX_VALUES = 50_000
const MAX_POLICIES = 100
const MAX_FAILURES = 10_000
const MAX_LINES = 100
/** Of all TLSA records in one string. */
const MAX_FOLDED = 20_000

const inflate = promisify(gunzip)

/** JSON, or JSON in gzip, whatever the file is called. PermError tlsrpt/malformed says which field, and what it should be. */
export async function parseReport(
  bytes: Uint8Array,
  limits: ReportLimits = REPORT_LIMITS,
): Promise<ReceivedReport> {
  if (bytes.length > limits.sizeBytes)
    throw malformed(`it has ${bytes.length} bytes, more than ${limits.sizeBytes}`)
  const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b
  return parseReportText(await textOf(isGzip ? await inflated(bytes, limits) : bytes))
}

async function inflated(bytes: Uint8Array, { inflatedBytes }: ReportLimits): Promise<Uint8Array> {
  const maxOutputLength = Math.min(inflatedBytes, Math.max(FREE_BYTES, bytes.length * MAX_RATIO))
  try {
    return await inflate(bytes, { maxOutputLength })
  } catch (error) {
    const isLong = error instanceof RangeError
    throw malformed(
      isLong ? `gzip: it has more than ${maxOutputLength} bytes unpacked` : 'gzip: damaged',
    )
  }
}

async function textOf(bytes: Uint8Array): Promise<string> {
  return new TextDecoder().decode(bytes) // without a byte order mark; what is no UTF-8 becomes U+FFFD
}

/** As parseReport, of text that is short enough. */
export function parseReportText(text: string): ReceivedReport {
  let count = 0
  for (const mark of ['{', '['])
    for (let at = text.indexOf(mark); at !== -1; at = text.indexOf(mark, at + 1)) count += 1
  if (count > MAX_VALUES) throw malformed(`it has more than ${MAX_VALUES} objects`)
  let value: unknown
  try {
    value = JSON.parse(text) // of two members with one name the last counts, RFC 8259 section 4
  } catch {
    throw malformed('it is no JSON')
  }
  return reportOf(value)
}

function reportOf(value: unknown): ReceivedReport {
  const reading = new Reading()
  const report = reading.object(value, 'the report')
  if (report === undefined) throw malformed('the report: must be an object')
  const range = reading.object(report['date-range'], 'date-range')
  const policies = reading.list(report['policies'], 'policies', MAX_POLICIES)
  if (policies.length === 0) throw malformed('policies: must be an array with a policy in it')
  const organization = reading.text(report, 'organization-name', 'needed')
  const contact = reading.text(report, 'contact-info', 'needed')
  if (organization === '' && contact === '')
    throw malformed('organization-name: it is missing, and so is contact-info')
  return {
    organizationName: organization || contact,
    contactInfo: contact,
    reportId: reading.text(report, 'report-id', 'needed'),
    beginsAtMs: dateOf(reading, range, 'start-datetime'),
    endsAtMs: dateOf(reading, range, 'end-datetime'),
    policies: policies.map((policy, at) => policyOf(reading, policy, `policies[${at}]`)),
    deviations: reading.deviations,
  }
}

function dateOf(reading: Reading, range: Fields | undefined, name: string): number | undefined {
  const value = range?.[name]
  const instant = instantOf(value)
  if (instant === undefined) reading.deviates(`${name}: no date`)
  // RFC 3339 section 5.6 wants a zone; Microsoft wrote none for years.
  else if (typeof value !== 'string' || !/(?:Z|[+-]\d\d:\d\d)$/i.test(value.trim()))
    reading.deviates(`${name}: no RFC 3339 date, taken as UTC`)
  return instant
}

function policyOf(reading: Reading, value: unknown, where: string): ReceivedPolicy {
  const entry = reading.object(value, where) ?? {}
  const policy = reading.object(entry['policy'], `${where} policy`) ?? {}
  const summary = reading.object(entry['summary'], `${where} summary`) ?? {}
  const failures = reading.list(entry['failure-details'], 'failure-details', MAX_FAILURES)
  return {
    policy: {
      policyType: asciiLower(reading.text(policy, 'policy-type', 'needed')),
      policyDomain: reading.domain(policy, 'policy-domain', 'needed'),
      policyStrings: linesOf(reading, policy['policy-string']),
      mxHosts: reading
        .list(policy['mx-host'], 'mx-host', MAX_LINES) // an array by erratum 6241
        .map((host) => domainOf(safeText(host)))
        .filter((host) => host !== ''),
    },
    successfulSessions: reading.count(summary, 'total-successful-session-count'),
    failedSessions: reading.count(summary, 'total-failure-session-count'),
    failures: failures.map((failure, at) =>
      failureOf(reading, failure, `${where} failure-details[${at}]`),
    ),
  }
}

function failureOf(reading: Reading, value: unknown, where: string): FailureDetail {
  const failure = reading.object(value, where) ?? {}
  const text = (name: string): string => reading.text(failure, name)
  return {
    resultType: asciiLower(reading.text(failure, 'result-type', 'needed')),
    failedSessions: reading.count(failure, 'failed-session-count'),
    ...unlessEmpty('sendingMtaIp', formatAddress(text('sending-mta-ip'))),
    ...unlessEmpty('receivingMxHostname', reading.domain(failure, 'receiving-mx-hostname')),
    ...unlessEmpty('receivingMxHelo', text('receiving-mx-helo')),
    ...unlessEmpty('receivingIp', formatAddress(text('receiving-ip'))),
    ...unlessEmpty('failureReasonCode', text('failure-reason-code')),
    ...unlessEmpty('additionalInformation', text('additional-information')),
  }
}

function unlessEmpty<K extends keyof FailureDetail>(
  name: K,
  text: string,
): Partial<Record<K, string>> {
  const member: Partial<Record<K, string>> = {}
  if (text !== '') member[name] = text
  return member
}

/** RFC 8460 section 4.5: one record, or one line of the policy, in each string. Some put all lines into one. */
function linesOf(reading: Reading, value: unknown): readonly string[] {
  return reading
    .list(value, 'policy-string', MAX_LINES)
    .flatMap((text) => (typeof text === 'string' ? text.split(/\r?\n/, MAX_LINES) : []))
    .flatMap((line) => unfold(line.trim()))
    .slice(0, MAX_LINES)
    .map(safeText)
    .filter((line) => line !== '')
}

/** Microsoft's TLSA records: a JSON array in a string. What only looks like one is marked, so that it is never taken for it. */
function unfold(line: string): readonly string[] {
  const inner = line.length > MAX_FOLDED ? undefined : listIn(line)
  if (inner) return inner.map((one) => one.replace(/^\s*\[/, '?['))
  const safe = safeText(line)
  return [listIn(safe) ? `?${safe}` : safe]
}

function listIn(text: string): readonly string[] | undefined {
  if (!text.startsWith('[')) return undefined
  try {
    const list: unknown = JSON.parse(text)
    return Array.isArray(list) ? list.filter((one) => typeof one === 'string') : undefined
  } catch {
    return undefined
  }
}

function malformed(reason: string): PermError {
  return new PermError('tlsrpt/malformed', `report: ${reason}`)
}
