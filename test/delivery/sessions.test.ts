// What delivery tells of TLS for reports: which result belongs to which policy, and what is nobody's failure.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { DaneOutcome } from '../../lib/dane/outcome.ts'
import type { Attempt } from '../../lib/delivery/attempt.ts'
import { judge } from '../../lib/delivery/judge.ts'
import type { Evidence, Order, PlannedHost } from '../../lib/delivery/order.ts'
import { requirementFor } from '../../lib/delivery/requirement.ts'
import { sessionOf, sessionsOfPlan } from '../../lib/delivery/sessions.ts'
import type { StsOutcome } from '../../lib/mta-sts/outcome.ts'
import { parsePolicy } from '../../lib/mta-sts/policy.ts'
import { makeAuthority } from '../support/authority.ts'
import { derOf } from '../support/certificates.ts'

const HOST = 'mx.b.example'
const authority = makeAuthority()
const LEAF = derOf(authority.issue(HOST).certificate)
authority.close()
const TEXT = 'version: STSv1\nmode: enforce\nmx: mx.b.example\nmax_age: 86400\nx-unknown: 1\n'
const NO_DANE: DaneOutcome = { status: 'none', reason: 'not signed' }
const STS: StsOutcome = { status: 'found', id: '1', policy: parsePolicy(TEXT), failure: undefined }
const RECORD = { usage: 3, selector: 1, matchingType: 1, certificate: Buffer.alloc(32, 0xab) }
const ORDER: Order = {
  domain: 'b.example',
  route: undefined,
  transport: 'policy',
  floor: 'none',
  contentIsEncrypted: false,
  requireTls: false,
  tlsRequiredNo: false,
}
const WISHES = {
  transport: 'policy',
  authentication: 'as-published',
  tlsRequired: 'unsaid',
} as const

function evidence(more: Partial<Evidence> = {}): Evidence {
  const none: StsOutcome = { status: 'none', failure: undefined }
  return { domain: 'b.example', hostIsAuthentic: false, dane: NO_DANE, sts: none, ...more }
}

function planned(of: Evidence): PlannedHost {
  return {
    host: HOST,
    preference: 10,
    addresses: ['192.0.2.1'],
    port: 25,
    requirement: requirementFor({ ...of, host: HOST }, WISHES),
    servername: HOST,
    requireTls: false,
    evidence: of,
  }
}

function attempt(of: Evidence, outcome: Attempt['outcome']): Attempt {
  return {
    atMs: 1,
    domain: 'b.example',
    planned: planned(of),
    receivingIp: '192.0.2.1',
    sendingIp: '192.0.2.9',
    helo: 'banner.b.example',
    outcome,
    floor: 'none',
    isTlsReport: false,
  }
}

function judged(of: Evidence, chainError: string | undefined): Attempt {
  const handshake = { status: 'done', chain: [LEAF], chainError } as const
  return attempt(of, { status: 'judged', judgement: judge(planned(of), handshake, 1) })
}

describe('a session', () => {
  it('R15 R16 R23: says the registered type, for which host and why, and has the lines of the policy as they were, errors included', () => {
    const session = sessionOf(judged(evidence({ sts: STS }), 'SELF_SIGNED_CERT_IN_CHAIN'))
    assert.deepEqual(session, {
      atMs: 1,
      domain: 'b.example',
      results: [
        {
          policyType: 'sts',
          policyDomain: 'b.example',
          policyStrings: TEXT.trim().split('\n'),
          mxHostPatterns: ['mx.b.example'],
          resultType: 'certificate-not-trusted',
          reason: 'nobody we trust vouches for its certificate (SELF_SIGNED_CERT_IN_CHAIN)',
        },
      ],
      sendingIp: '192.0.2.9',
      host: HOST,
      helo: 'banner.b.example',
      receivingIp: '192.0.2.1',
    })
  })

  it('R22: without a policy is counted for no-policy-found', () => {
    const [result] = sessionOf(judged(evidence(), 'CERT_HAS_EXPIRED'))?.results ?? []
    assert.equal(result?.policyType, 'no-policy-found')
    assert.equal(result?.resultType, 'success')
  })

  it('R17: that fails its TLSA records says so for the base domain, and what MTA-STS says of it beside', () => {
    const dane = {
      status: 'usable',
      baseDomain: HOST,
      usable: [RECORD],
      records: [RECORD],
    } as const
    const attempted = judged(evidence({ dane, sts: STS }), 'CERT_HAS_EXPIRED')
    const { results = [] } = sessionOf(attempted) ?? {}
    assert.deepEqual(
      results.map(({ policyType, policyDomain, resultType }) => [
        policyType,
        policyDomain,
        resultType,
      ]),
      [
        ['tlsa', HOST, 'tlsa-invalid'],
        ['sts', 'b.example', 'certificate-expired'],
      ],
    )
    assert.deepEqual(results[0]?.policyStrings, [`3 1 1 ${'ab'.repeat(32)}`])
  })

  it('R19: that the network kept from being one is none, nor is one without TLS by intent', () => {
    for (const status of ['unreached', 'clear'] as const)
      assert.equal(sessionOf(attempt(evidence(), { status, reason: 'x' })), undefined)
  })
})

describe('a plan', () => {
  const skipped = (of: Evidence) => {
    const { requirement } = planned(of)
    assert.ok(requirement.kind === 'impossible')
    const { resultType, reason } = requirement
    return { host: HOST, resultType, reason, evidence: of }
  }
  const told = (of: Evidence) =>
    sessionsOfPlan(
      ORDER,
      { status: 'defer', reason: 'x', skipped: [skipped(of)], stsFailure: undefined },
      7,
    )

  it('R17: tells of a host whose TLSA look-up failed, though nobody connected to it', () => {
    const [session] = told(evidence({ dane: { status: 'failed', reason: 'SERVFAIL' } }))
    assert.equal(session?.host, HOST)
    assert.deepEqual(session?.results, [
      {
        policyType: 'tlsa',
        policyDomain: HOST,
        policyStrings: [],
        mxHostPatterns: [],
        resultType: 'dnssec-invalid',
        reason: 'SERVFAIL',
      },
    ])
  })

  it('R15: tells of a host that the policy does not name', () => {
    const other = {
      ...STS,
      policy: parsePolicy(TEXT.replace(HOST, 'other.b.example')),
    } as StsOutcome
    const [result] = told(evidence({ sts: other }))[0]?.results ?? []
    assert.equal(result?.policyType, 'sts')
    assert.equal(result?.resultType, 'validation-failure')
    assert.deepEqual(result?.mxHostPatterns, ['other.b.example'])
  })

  it('R18: tells of a policy that could not be fetched, with the one that stays where there is one', () => {
    for (const resultType of [
      'sts-policy-fetch-error',
      'sts-policy-invalid',
      'sts-webpki-invalid',
    ] as const)
      for (const sts of [STS, { status: 'none', failure: undefined } as const]) {
        const plan = {
          status: 'deliver',
          hosts: [planned(evidence({ sts }))],
          skipped: [],
          stsFailure: { resultType, reason: 'status 404' },
        } as const
        const [session, ...more] = sessionsOfPlan(ORDER, plan, 7)
        assert.equal(more.length, 0)
        const [result] = session?.results ?? []
        assert.equal(result?.policyType, 'sts')
        assert.equal(result?.resultType, resultType)
        assert.equal(result?.policyStrings.length, sts.status === 'found' ? 5 : 0)
      }
  })

  it('R19: tells nothing of a host without an address, nor of a refusal', () => {
    const host = {
      host: HOST,
      resultType: undefined,
      reason: 'it has no address',
      evidence: undefined,
    }
    const plan = { status: 'defer', reason: 'x', skipped: [host], stsFailure: undefined } as const
    assert.deepEqual(sessionsOfPlan(ORDER, plan, 7), [])
    assert.deepEqual(sessionsOfPlan(ORDER, { status: 'refuse', reason: 'x', dsn: '5.1.10' }, 7), [])
  })
})
