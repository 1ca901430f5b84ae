import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { WorkerPool } from '../../../lib/crypto/pool.ts'
import { createIbePool } from '../../../lib/ibe/ibe.ts'
import { formatIdentity } from '../../../lib/ibe/identity.ts'
import type { IbeJobs } from '../../../lib/ibe/jobs.ts'
import type { PeriodKind } from '../../../lib/ibe/period.ts'
import { createSignatureEngine } from '../../../lib/ibe/signature/engine.ts'
import { parseSignatureField } from '../../../lib/ibe/signature/field.ts'
import { headerDigest } from '../../../lib/ibe/signature/signed-fields.ts'
import { verifyMessage } from '../../../lib/ibe/signature/verify.ts'
import { readMessage, type Message } from '../../../lib/mail/message.ts'
import { bytesOf } from '../../mail/pieces.ts'
import { fakeClock } from '../fake-clock.ts'
import { fromHex, readVectors, toHex } from '../../support/vectors.ts'
import { nobleVerify } from './noble-cc.ts'

interface Vectors {
  readonly now: number
  readonly parameters: readonly {
    readonly domain: string
    readonly n: number
    readonly period: PeriodKind
    readonly public_key: string
  }[]
  readonly cases: readonly {
    readonly name: string
    readonly expect: 'pass' | 'fail' | 'neutral' | 'permerror'
    readonly reason?: string
    readonly header_digest?: string
    readonly message: readonly string[]
  }[]
}

const { now, parameters, cases } = readVectors<Vectors>('ibe-signature')

describe('vectors of signed messages', () => {
  let pool: WorkerPool<IbeJobs>
  before(() => {
    pool = createIbePool({ size: 1, queueLimit: 100 })
  })
  after(() => pool.close())

  const publicKeyOf = (domain: string, n: number): Uint8Array | undefined => {
    const found = parameters.find((one) => one.domain === domain && one.n === n)
    return found && fromHex(found.public_key)
  }
  const read = (lines: readonly string[]): Promise<Message> =>
    readMessage([bytesOf(lines.join('\r\n'))])

  for (const vector of cases) {
    it(`${vector.expect}: ${vector.name}`, async () => {
      const result = await verifyMessage(await read(vector.message), [], {
        engine: createSignatureEngine({ pool }),
        directory: {
          async signatureParameters(domain, n) {
            const found = parameters.find((one) => one.domain === domain && one.n === n)
            if (!found) return undefined
            const publicKey = fromHex(found.public_key)
            return { version: '2.0', scheme: 'cc', n, period: found.period, publicKey }
          },
        },
        clock: fakeClock(now * 1000),
        log: () => {},
      })
      assert.equal(result.status, vector.expect)
      assert.equal('reason' in result ? result.reason : undefined, vector.reason)
      if (vector.header_digest === undefined) return
      const { fields } = await read(vector.message)
      const own = fields.find(({ name }) => name === 'ibe-signature')!
      const tags = parseSignatureField(own)
      const digest = headerDigest(fields, tags.signedFields, own)
      assert.equal(toHex(digest), vector.header_digest)
      const key = publicKeyOf(tags.domain, tags.n)
      const identity = formatIdentity(tags.address, tags.period)
      if (vector.expect === 'pass')
        assert.ok(nobleVerify(key!, identity, digest, tags.signature), 'another implementation')
    })
  }
})
