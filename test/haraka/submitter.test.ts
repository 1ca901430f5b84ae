import assert from 'node:assert/strict'
import { BlockList } from 'node:net'
import { describe, it } from 'node:test'
import type { Connection } from '../../lib/haraka/api.ts'
import { authorOf, isOurs, submitterOf, triggerIn } from '../../lib/haraka/submitter.ts'
import { normalizeAddress } from '../../lib/ibe/identity.ts'
import { parseFields } from '../../lib/mail/header.ts'
import { parseDomainTable } from '../../lib/protection/domain-table.ts'
import type { Services } from '../../lib/services/services.ts'

const table = parseDomainTable('local: [a.example]\n', 'table', [{ name: 'ibe' }])
const services = { table: { current: () => table }, normalizeAddress } as unknown as Services
const networks = new BlockList()
networks.addSubnet('192.0.2.0', 24, 'ipv4')

/** As far as it is looked at. */
function connection(
  as: { readonly user?: string; readonly ip?: string; readonly relaying?: true },
  ...header: readonly string[]
): Connection {
  return {
    relaying: as.relaying ?? false,
    notes: { auth_user: as.user },
    remote: { ip: as.ip ?? '203.0.113.1' },
    transaction: { header: { header_list: header.map((line) => `${line}\n`) } },
  } as unknown as Connection
}

const FROM = parseFields(Buffer.from('From: alice@a.example\r\n'))
const authorFor = (of: Connection): string | undefined =>
  authorOf(FROM, submitterOf(of, networks), services)

describe('the author that a signature inside may speak for', () => {
  for (const [who, as, expected] of [
    ['a user whose address it is', { user: 'alice' }, 'alice@a.example'],
    ['a user whose address it is not', { user: 'bob' }, undefined],
    ['a host that has checked its senders', { ip: '192.0.2.7', relaying: true }, 'alice@a.example'],
    ['another host that relays', { ip: '198.51.100.7', relaying: true }, undefined],
    ['anybody', {}, undefined],
  ] as const)
    it(`${who}: ${expected ?? 'nobody'}`, () => assert.equal(authorFor(connection(as)), expected))
})

describe('what a sender asks for', () => {
  const triggers = { subjects: ['[secure]'], headers: [{ name: 'x-hisho-encrypt', value: 'yes' }] }
  for (const [as, lines, expected] of [
    [{ user: 'alice' }, ['Subject: [Secure] x'], 'subject [secure]'],
    [{ relaying: true }, ['To: x', 'X-HISHO-encrypt : yes'], 'header x-hisho-encrypt'],
    [{ user: 'alice' }, ['Subject: x', 'X-Other: yes'], undefined],
    [{}, ['Subject: [secure] x', 'X-Hisho-Encrypt: yes'], undefined],
  ] as const)
    it(`C18: ${JSON.stringify(as)} with ${lines.join(', ')}: ${expected ?? 'nothing'}`, () => {
      const of = connection(as, ...lines)
      assert.equal(isOurs(of), Object.keys(as).length > 0)
      assert.equal(triggerIn(of, triggers), expected)
    })
})
