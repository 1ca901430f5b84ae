import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Address, HMail } from '../../lib/haraka/api.ts'
import { checkQueued } from '../../lib/haraka/gates.ts'
import { parseDomainTable } from '../../lib/protection/domain-table.ts'
import type { Services } from '../../lib/services/services.ts'

/** As far as the gate looks at them. */
function servicesWith(rule: string, isOn: boolean): Services {
  const table = parseDomainTable(`domains: { b.example: ${rule} }\n`, 'table', [{ name: 'ibe' }])
  return { table: { current: () => table }, delivery: { isOn: () => isOn } } as unknown as Services
}

function queued(): { readonly hmail: HMail; readonly bob: Address } {
  const bob = { user: 'bob', host: 'b.example', original: '', address: 'bob@b.example' } as Address
  return { hmail: { todo: { domain: 'b.example', rcpt_to: [bob], notes: {} } }, bob }
}

describe('the gate before delivery', () => {
  const held = [
    ['{ encrypt: required }', true, /requires encryption/],
    ['{ floor: either }', false, /the floor of b\.example is either, and neither/],
    ['{ floor: transport }', false, /the floor of b\.example is transport, and neither/],
  ] as const
  for (const [rule, isOn, reason] of held)
    it(`holds mail under ${rule}, and leaves the reason for the bounce`, async () => {
      const { hmail, bob } = queued()
      await assert.rejects(checkQueued(servicesWith(rule, isOn), hmail), {
        code: 'haraka/unprotected',
        message: reason,
      })
      assert.match(bob.reason ?? '', reason)
    })

  it('leaves floors of transport to those who keep them', async () => {
    const { hmail, bob } = queued()
    await checkQueued(servicesWith('{ floor: transport }', true), hmail)
    assert.equal(bob.reason, undefined)
  })
})
