import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { judge, type Handshake } from '../../lib/delivery/judge.ts'
import type { PlannedHost } from '../../lib/delivery/order.ts'
import type { Requirement } from '../../lib/delivery/requirement.ts'
import type { StsOutcome } from '../../lib/mta-sts/outcome.ts'
import type { Mode } from '../../lib/mta-sts/policy.ts'
import { makeAuthority, type Authority } from '../support/authority.ts'

const HOST = 'mx.b.example'
const NOW = Date.parse('2026-11-22T12:00:00Z')

function planned(requirement: Requirement, sts?: { mode: Mode; mx?: string }): PlannedHost {
  const outcome: StsOutcome = sts
    ? {
        status: 'found',
        id: '1',
        failure: undefined,
        policy: {
          mode: sts.mode,
          maxAgeSeconds: 1,
          mx: [sts.mx ?? HOST],
          lines: ['version: STSv1'],
        },
      }
    : { status: 'none', failure: undefined }
  return {
    host: HOST,
    preference: 10,
    addresses: ['192.0.2.1'],
    port: 25,
    requirement,
    servername: HOST,
    requireTls: false,
    evidence: {
      domain: 'b.example',
      hostIsAuthentic: false,
      dane: { status: 'none', reason: 'not signed' },
      sts: outcome,
    },
  }
}

const WEBPKI: Requirement = { kind: 'webpki', name: { kind: 'host', name: HOST } }
const ENFORCE = { mode: 'enforce' } as const

describe('the verdict on a connection', () => {
  let authority: Authority
  const chains = new Map<string, Uint8Array[]>()

  before(() => {
    authority = makeAuthority()
    const certificates = {
      good: authority.issue(HOST),
      wildcard: authority.issue('w', { names: 'DNS:*.b.example' }),
      deepWildcard: authority.issue('w', { names: 'DNS:*.example' }),
      partialWildcard: authority.issue('w', { names: 'DNS:m*.b.example' }),
      other: authority.issue('mx.other.example'),
      commonName: authority.issue(HOST, { names: '' }),
      address: authority.issue(HOST, { names: 'IP:192.0.2.1' }),
      domain: authority.issue('b.example'),
      alike: authority.issue('evilb.example'),
    }
    for (const [name, { certificate }] of Object.entries(certificates))
      chains.set(name, [new X509Certificate(certificate).raw])
  })
  after(() => authority.close())

  function shown(name: string, chainError?: string): Handshake {
    return { status: 'done', chain: chains.get(name) ?? [], chainError }
  }

  const names = [
    ['good', 'deliver', 'success'],
    ['wildcard', 'deliver', 'success'],
    ['deepWildcard', 'next-host', 'certificate-host-mismatch'],
    ['partialWildcard', 'next-host', 'certificate-host-mismatch'],
    ['other', 'next-host', 'certificate-host-mismatch'],
    ['commonName', 'next-host', 'certificate-host-mismatch'],
    ['address', 'next-host', 'certificate-host-mismatch'],
    ['none', 'next-host', 'validation-failure'],
  ] as const
  for (const [certificate, verdict, resultType] of names)
    it(`S28, D26: under enforce, a certificate with the name "${certificate}": ${resultType}`, () => {
      const judgement = judge(planned(WEBPKI, ENFORCE), shown(certificate), NOW)
      assert.equal(judgement.verdict, verdict)
      assert.equal(judgement.authenticated, verdict === 'deliver')
      assert.deepEqual(
        judgement.results.map((result) => [result.policyType, result.resultType]),
        [['sts', resultType]],
      )
    })

  const errors = [
    ['CERT_HAS_EXPIRED', 'certificate-expired'],
    ['CERT_NOT_YET_VALID', 'certificate-expired'],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'certificate-not-trusted'],
    ['SELF_SIGNED_CERT_IN_CHAIN', 'certificate-not-trusted'],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'certificate-not-trusted'],
    ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'certificate-not-trusted'],
    ['INVALID_PURPOSE', 'validation-failure'],
    ['CERT_REVOKED', 'validation-failure'],
  ] as const
  for (const [code, resultType] of errors)
    it(`S26: under enforce, OpenSSL's ${code} is ${resultType}, with a reason`, () => {
      const judgement = judge(planned(WEBPKI, ENFORCE), shown('good', code), NOW)
      assert.equal(judgement.verdict, 'next-host')
      assert.equal(judgement.results[0]?.resultType, resultType)
      assert.match(judgement.results[0]?.reason ?? '', new RegExp(code))
    })

  it('S31: in testing mode all of this is delivered, and reported all the same', () => {
    const loose: Requirement = { kind: 'opportunistic' }
    for (const handshake of [shown('other'), shown('good', 'CERT_HAS_EXPIRED')]) {
      const judgement = judge(planned(loose, { mode: 'testing' }), handshake, NOW)
      assert.equal(judgement.verdict, 'deliver')
      assert.equal(judgement.authenticated, false)
      assert.notEqual(judgement.results[0]?.resultType, 'success')
    }
  })

  it('S36: a host outside of the policy is reported, in testing mode too', () => {
    const host = planned({ kind: 'opportunistic' }, { mode: 'testing', mx: 'other.b.example' })
    const [result] = judge(host, shown('good'), NOW).results
    assert.equal(result?.resultType, 'validation-failure')
    assert.deepEqual(result?.mxHostPatterns, ['other.b.example'])
  })

  it('S32: under a policy of mode none nothing is said of MTA-STS', () => {
    const judgement = judge(
      planned({ kind: 'opportunistic' }, { mode: 'none' }),
      shown('other'),
      NOW,
    )
    assert.deepEqual(
      judgement.results.map((result) => [result.policyType, result.resultType]),
      [['no-policy-found', 'success']],
    )
  })

  for (const [kind, verdict] of [
    ['webpki', 'next-host'],
    ['encrypted', 'next-host'],
    ['opportunistic', 'without-tls'],
  ] as const)
    it(`without STARTTLS, and with the requirement ${kind}: ${verdict}`, () => {
      const requirement: Requirement = kind === 'webpki' ? WEBPKI : { kind }
      const reason = 'it does not offer STARTTLS'
      const judgement = judge(
        planned(requirement),
        { status: 'failed', resultType: 'starttls-not-supported', reason },
        NOW,
      )
      assert.equal(judgement.verdict, verdict)
      assert.equal(judgement.results[0]?.resultType, 'starttls-not-supported')
      assert.equal(judgement.results[0]?.reason, reason)
    })

  it('D6: TLS that nobody vouches for satisfies a requirement of encryption alone', () => {
    const judgement = judge(planned({ kind: 'encrypted' }), shown('other', 'CERT_HAS_EXPIRED'), NOW)
    assert.equal(judgement.verdict, 'deliver')
    assert.equal(judgement.authenticated, false)
  })

  it('a name within the domain will do where nobody vouches for the MX name, and one that only looks like it will not', () => {
    const within: Requirement = { kind: 'webpki', name: { kind: 'domain', name: 'b.example' } }
    for (const [name, verdict] of [
      ['good', 'deliver'],
      ['wildcard', 'deliver'],
      ['domain', 'deliver'],
      ['alike', 'next-host'],
      ['other', 'next-host'],
      ['commonName', 'next-host'],
    ] as const)
      assert.equal(judge(planned(within), shown(name), NOW).verdict, verdict, name)
  })
})
