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

  const MARK = { reason: 'x', recipients: ['bob@b.example'] }
  for (const [rule, hisho, passes] of [
    ['{ encrypt: required }', { ...MARK, protected: true }, true],
    ['{ encrypt: required }', { ...MARK, protected: false }, false],
    ['{ encrypt: required }', { ...MARK, protected: true, recipients: ['eve@b.example'] }, false],
    ['{ encrypt: required }', { ...MARK, protected: false, clear: 'dsn' }, false],
    ['{ encrypt: required, exempt: [dsn] }', { ...MARK, protected: false, clear: 'dsn' }, true],
    ['{ encrypt: required, exempt: [dsn] }', { ...MARK, protected: false, clear: 'mdn' }, false],
    ['{ encrypt: required }', { ...MARK, protected: false, clear: 'released' }, false],
    ['{ on_no_key: hold }', { ...MARK, protected: false, clear: 'released' }, true],
    ['{ on_no_key: hold }', { ...MARK, protected: false }, false],
    ['{ on_no_key: hold }', { ...MARK, protected: false, clear: 'tlsrpt' }, true],
    ['{ on_no_key: reject }', undefined, false],
    ['{ encrypt: opportunistic }', undefined, true],
  ] as const)
    it(`C17 C22: ${passes ? 'lets pass' : 'holds'} under ${rule} what is marked ${JSON.stringify(hisho)}`, async () => {
      const { hmail } = queued()
      if (hisho) Object.assign(hmail.todo?.notes ?? {}, { hisho })
      const checked = checkQueued(servicesWith(rule, true), hmail)
      await (passes ? checked : assert.rejects(checked, { code: 'haraka/unprotected' }))
    })

  it('C17: a line of one address counts for that address', async () => {
    const table = parseDomainTable(
      'domains: { b.example: {}, bob@b.example: { encrypt: required } }',
      'table',
      [{ name: 'ibe' }],
    )
    const services = { ...servicesWith('{}', true), table: { current: () => table } }
    await assert.rejects(checkQueued(services, queued().hmail), { code: 'haraka/unprotected' })
    const other = queued().hmail
    const eve = { ...queued().bob, user: 'eve', address: 'eve@b.example' }
    Object.assign(other.todo ?? {}, { rcpt_to: [eve] })
    await checkQueued(services, other)
  })

  it('leaves floors of transport to those who keep them', async () => {
    const { hmail, bob } = queued()
    await checkQueued(servicesWith('{ floor: transport }', true), hmail)
    assert.equal(bob.reason, undefined)
  })
})
