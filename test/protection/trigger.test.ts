import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { normalizeAddress } from '../../lib/ibe/identity.ts'
import { parseFields } from '../../lib/mail/header.ts'
import { decide } from '../../lib/protection/decision.ts'
import { parseDomainTable } from '../../lib/protection/domain-table.ts'
import { triggerOf, type Triggers } from '../../lib/protection/trigger.ts'

const TRIGGERS: Triggers = {
  subjects: ['[secure]', 'vertraulich:'],
  headers: [
    { name: 'x-hisho-encrypt', value: 'yes' },
    { name: 'sensitivity', value: 'company-confidential' },
  ],
}

const found = (header: string): string | undefined =>
  triggerOf(parseFields(Buffer.from(`${header}\r\n`)), TRIGGERS)

describe('what a sender writes to have a message encrypted', () => {
  for (const [header, expected] of [
    ['Subject: [secure] plans', 'subject [secure]'],
    ['Subject:[SECURE]plans', 'subject [secure]'],
    ['subject: \t[Secure]', 'subject [secure]'],
    ['Subject: =?utf-8?q?=5Bsecure=5D_plans?=', 'subject [secure]'],
    ['Subject: =?utf-8?B?W3NlYw==?=\r\n =?utf-8?B?dXJlXSBwbGFucw==?=', 'subject [secure]'],
    ['Subject: \r\n [secure] plans', 'subject [secure]'],
    ['Subject: hello\r\nSubject: [secure] twice', 'subject [secure]'],
    ['Subject: Vertraulich: x', 'subject vertraulich:'],
    ['Subject: Re: [secure] plans', undefined],
    ['Subject: secure', undefined],
    ['Comments: [secure]', undefined],
    ['X-Hisho-Encrypt: yes', 'header x-hisho-encrypt'],
    ['x-hisho-encrypt:  YES ', 'header x-hisho-encrypt'],
    ['X-Hisho-Encrypt: no', undefined],
    ['X-Hisho-Encrypt: no\r\nX-Hisho-Encrypt: yes', 'header x-hisho-encrypt'],
    ['X-Hisho-Encrypt: yes please', undefined],
    ['Sensitivity: Company-Confidential', 'header sensitivity'],
    ['', undefined],
  ] as const)
    it(`C18: ${JSON.stringify(header)}: ${expected ?? 'nothing'}`, () =>
      assert.equal(found(header), expected))

  it('C18: whatever a message says, it is never encrypted less than without it', async () => {
    const table = parseDomainTable(
      'domains: { b.example: { encrypt: required }, c.example: {}, d.example: { encrypt: never } }',
      'table',
      [{ name: 'ibe' }],
    )
    const offer = {
      scheme: 'ibe',
      description: 'ibe',
      seal: (_: unknown, message: never) => message,
    }
    const schemes = [
      {
        name: 'ibe',
        detect: () => false,
        open: async () => ({ status: 'closed', reason: '' }) as const,
        offer: async () => offer,
      },
    ]
    const strength = ['clear', 'hold', 'ciphertext', 'seal']
    const name = fc.constantFrom(
      'Subject',
      'X-Hisho-Encrypt',
      'Sensitivity',
      'X-Hisho-Plain',
      'Precedence',
    )
    const value = fc.constantFrom(
      '[secure]',
      'no',
      'yes',
      'never',
      'off',
      'company-confidential',
      '',
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(name, value), { maxLength: 4 }),
        fc.constantFrom('b.example', 'c.example', 'd.example'),
        async (fields, domain) => {
          const raisedBy = found(fields.map((field) => field.join(': ')).join('\r\n'))
          const options = { table, schemes, normalizeAddress, log: () => {} }
          const plain = await decide(domain, undefined, options)
          const asked = await decide(domain, undefined, {
            ...options,
            ...(raisedBy && { raisedBy }),
          })
          assert.ok(strength.indexOf(asked.kind) >= strength.indexOf(plain.kind))
          if (raisedBy) assert.equal(asked.kind, 'seal')
        },
      ),
    )
  })
})
