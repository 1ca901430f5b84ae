import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { normalizeAddress } from '../../lib/ibe/identity.ts'
import { parseFields } from '../../lib/mail/header.ts'
import { parseDomainTable } from '../../lib/protection/domain-table.ts'
import { judgeSender, type SenderVerdict, type Submitter } from '../../lib/protection/sender.ts'

const ONE = 'local: [a.example]\n'
const TWO = 'local: [a.example, b.example]\n'
const SHARED = `${TWO}senders:
  alice@a.example: [sales@a.example, "alice@B.example"]
  desk: ['*@b.example']
`

const alice: Submitter = { kind: 'user', name: 'alice@a.example' }
const user = (name: string): Submitter => ({ kind: 'user', name })

function judge(header: string, submitter: Submitter, table = SHARED): SenderVerdict {
  return judgeSender(parseFields(Buffer.from(header.replaceAll('\n', '\r\n'))), submitter, {
    table: parseDomainTable(table, 'hisho.yaml', [{ name: 'ibe' }]),
    normalizeAddress,
  })
}

function refused(header: string, submitter: Submitter, reason: RegExp, table = SHARED): void {
  const verdict = judge(header, submitter, table)
  assert.ok(verdict.status === 'not-signed', 'it would be signed')
  assert.match(verdict.reason, reason)
}

function signedAs(address: string, header: string, submitter: Submitter, table = SHARED): void {
  const domain = address.slice(address.lastIndexOf('@') + 1)
  assert.deepEqual(judge(header, submitter, table), { status: 'owner', address, domain })
}

describe('who may sign', () => {
  it('a user for the address that is their name', () => {
    signedAs('alice@a.example', 'From: Alice <alice@a.example>\n', alice)
    signedAs('alice@a.example', 'From: ALICE@A.EXAMPLE (Alice)\n', user('Alice@a.example'))
    signedAs('alice@a.example', 'From: "alice"@a.example\n', alice)
  })

  it('a user for the shared mailboxes that the table gives them, by their own address if it is of that domain', () => {
    signedAs('alice@a.example', 'From: Sales <sales@a.example>\n', alice)
    signedAs('alice@b.example', 'From: alice@b.example\n', alice)
    signedAs('anybody@b.example', 'From: anybody@b.example\n', user('desk'))
  })

  it('a name without a domain is a mailbox where there is one domain only', () => {
    signedAs('alice@a.example', 'From: alice@a.example\n', user('alice'), ONE)
    refused('From: alice@a.example\n', user('alice'), /not of this sender/, TWO)
    refused('From: bob@a.example\n', user('alice'), /not of this sender/, ONE)
  })

  it('a relay network for every address of ours, and for no other', () => {
    signedAs('bob@a.example', 'From: bob@a.example\n', { kind: 'relay-network' })
    refused('From: bob@c.example\n', { kind: 'relay-network' }, /not ours/)
  })

  it('nobody who is not known', () =>
    refused('From: alice@a.example\n', { kind: 'unknown' }, /did not authenticate/))

  for (const [name, header, reason] of [
    ['another user of the same domain', 'From: bob@a.example\n', /not of this sender/],
    ['a domain that is not ours', 'From: alice@c.example\n', /not ours/],
    ['no From', 'To: bob@b.example\n', /0 From fields/],
    ['two From fields', 'From: alice@a.example\nFrom: alice@a.example\n', /2 From fields/],
    ['two authors', 'From: alice@a.example, bob@a.example\n', /not one author/],
    ['a group of two', 'From: us: alice@a.example, bob@a.example;\n', /not one author/],
    ['a From that is no address', 'From: undisclosed\n', /not one author|is none/],
    ['a name that looks like the address', 'From: "alice@a.example" <bob@a.example>\n', /not of/],
    ['a comment that looks like it', 'From: (alice@a.example) bob@a.example\n', /not of/],
    ['a subdomain', 'From: alice@x.a.example\n', /not ours/],
  ] as const) {
    it(`alice does not sign for ${name}`, () => refused(header, alice, reason))
  }

  it('Sender and Reply-To give nobody a right', () => {
    const more = 'Sender: alice@a.example\nReply-To: alice@a.example\nFrom: bob@a.example\n'
    refused(more, alice, /not of this sender/)
  })
})
