// RFC 8460 section 4.4 as a schema: which members a report has, of which form, and no other. I-JSON: RFC 7493.
import assert from 'node:assert/strict'
import { isIP } from 'node:net'
import { POLICY_TYPES, RESULT_TYPES } from '../../lib/tlsrpt/report.ts'

type Shape =
  | ((value: unknown) => boolean)
  /** An array of them. */
  | readonly [Shape]
  /** A name with `?` may be missing. */
  | { readonly [name: string]: Shape }

const text = (value: unknown): boolean => typeof value === 'string' && value !== ''
const matching =
  (pattern: RegExp) =>
  (value: unknown): boolean =>
    typeof value === 'string' && pattern.test(value)
const oneOf =
  (words: readonly string[]) =>
  (value: unknown): boolean =>
    typeof value === 'string' && words.includes(value)
const count = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0
const address = (value: unknown): boolean =>
  typeof value === 'string' && isIP(value) !== 0 && value === value.toLowerCase()
/** RFC 3339, of UTC. */
const time = matching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
/** A-labels. */
const domain = matching(/^[a-z\d]([a-z\d.-]*[a-z\d])?$/)

const REPORT: Shape = {
  'organization-name': text,
  'date-range': { 'start-datetime': time, 'end-datetime': time },
  'contact-info': matching(/^[^@\s]+@[^@\s]+$/),
  'report-id': text,
  policies: [
    {
      policy: {
        'policy-type': oneOf(POLICY_TYPES),
        'policy-string?': [text],
        'policy-domain': domain,
        'mx-host?': [matching(/^(?:\*\.)?[a-z\d.-]+$/)],
      },
      summary: { 'total-successful-session-count': count, 'total-failure-session-count': count },
      'failure-details?': [
        {
          'result-type': oneOf(RESULT_TYPES),
          'sending-mta-ip?': address,
          'receiving-mx-hostname?': domain,
          'receiving-mx-helo?': text,
          'receiving-ip?': address,
          'failed-session-count': count,
          'additional-information?': text,
          'failure-reason-code?': text,
        },
      ],
    },
  ],
}

/** An AssertionError names the member that is wrong. */
export function assertIsReport(json: string): void {
  // RFC 7493 section 2.1: UTF-8 without half a surrogate pair; section 2.3: no member twice, which parsing would lose.
  assert.equal(Buffer.from(json).toString(), json)
  const report: unknown = JSON.parse(json)
  assert.equal(JSON.stringify(report), json)
  check(report, REPORT, 'report')
}

function check(value: unknown, shape: Shape, path: string): void {
  if (typeof shape === 'function') return assert.ok(shape(value), `${path}: ${String(value)}`)
  if (isArray(shape)) {
    assert.ok(Array.isArray(value), `${path} is no array`)
    const [of] = shape
    for (const [at, one] of (value as unknown[]).entries()) check(one, of, `${path}[${at}]`)
    return
  }
  assert.ok(typeof value === 'object' && value !== null && !Array.isArray(value), path)
  const members = new Map<string, unknown>(Object.entries(value))
  for (const [name, of] of Object.entries(shape)) {
    const bare = name.replace('?', '')
    if (members.has(bare)) check(members.get(bare), of, `${path}.${bare}`)
    else assert.ok(bare !== name, `${path}.${bare} is missing`)
    members.delete(bare)
  }
  assert.deepEqual([...members.keys()], [], `${path} has members that the standard does not know`)
}

function isArray(shape: Shape): shape is readonly [Shape] {
  return Array.isArray(shape)
}
