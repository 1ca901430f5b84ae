import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { DaneOutcome, DaneUsable } from '../../lib/dane/outcome.ts'
import { requirementFor, type Requirement } from '../../lib/delivery/requirement.ts'
import type { Transport } from '../../lib/mail/transport.ts'
import type { StsOutcome } from '../../lib/mta-sts/outcome.ts'
import type { Mode } from '../../lib/mta-sts/policy.ts'
import { readVectors } from '../support/vectors.ts'

interface Case {
  readonly name: string
  readonly dane?: DaneOutcome['status']
  readonly sts?: Mode
  readonly listed?: boolean
  readonly mx?: 'insecure'
  readonly host?: 'none'
  readonly transport?: Transport
  readonly authentication?: 'needed'
  readonly tlsRequired?: 'no'
  readonly expect: string
}

const HOST = 'mx.b.example'
const RECORD = { usage: 3, selector: 1, matchingType: 1, certificate: new Uint8Array(32) }
const USABLE: DaneUsable = {
  status: 'usable',
  baseDomain: HOST,
  usable: [RECORD],
  records: [RECORD],
}

function daneOf(status: DaneOutcome['status'] = 'none'): DaneOutcome {
  switch (status) {
    case 'usable':
      return USABLE
    case 'unusable':
      return { status, baseDomain: HOST, records: [RECORD] }
    case 'none':
    case 'failed':
      return { status, reason: 'as the case has it' }
  }
}

function stsOf(mode: Mode | undefined, pattern: string): StsOutcome {
  if (mode === undefined) return { status: 'none', failure: undefined }
  const policy = { mode, maxAgeSeconds: 86_400, mx: [pattern], lines: [] }
  return { status: 'found', policy, id: '1', failure: undefined }
}

function inWords(requirement: Requirement): string {
  switch (requirement.kind) {
    case 'webpki':
      return `webpki ${requirement.name.kind}`
    case 'dane':
      return requirement.webpki ? `dane and webpki ${requirement.webpki.kind}` : 'dane'
    case 'impossible':
      return `impossible ${requirement.resultType}`
    case 'none':
    case 'opportunistic':
    case 'encrypted':
      return requirement.kind
  }
}

describe('what is required of a host', () => {
  const { cases } = readVectors<{ readonly cases: readonly Case[] }>('delivery-requirement')

  for (const one of cases) {
    it(`${one.name}: ${one.expect}`, () => {
      const requirement = requirementFor(
        {
          domain: 'b.example',
          host: one.host === 'none' ? undefined : HOST,
          hostIsAuthentic: one.mx !== 'insecure',
          dane: daneOf(one.dane),
          sts: stsOf(one.sts, one.listed === false ? 'other.b.example' : HOST),
        },
        {
          transport: one.transport ?? 'policy',
          authentication: one.authentication ?? 'as-published',
          tlsRequired: one.tlsRequired ?? 'unsaid',
        },
      )
      assert.equal(inWords(requirement), one.expect)
    })
  }

  it('an enforced policy or DANE never comes out as anything that allows clear text, whatever else holds', () => {
    for (const dane of ['usable', 'unusable', 'failed'] as const)
      for (const sts of [undefined, 'enforce', 'testing', 'none'] as const)
        for (const listed of [HOST, 'other.b.example'])
          for (const hostIsAuthentic of [true, false])
            for (const transport of ['policy', 'verify', 'dane'] as const) {
              const { kind } = requirementFor(
                {
                  domain: 'b.example',
                  host: HOST,
                  hostIsAuthentic,
                  dane: daneOf(dane),
                  sts: stsOf(sts, listed),
                },
                { transport, authentication: 'as-published', tlsRequired: 'unsaid' },
              )
              assert.ok(!['none', 'opportunistic'].includes(kind), `${dane} ${sts} ${transport}`)
            }
  })
})
