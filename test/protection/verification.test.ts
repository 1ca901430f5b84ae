import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { PermError, TempError } from '../../lib/errors.ts'
import { readMessage } from '../../lib/mail/message.ts'
import type { SignatureResult } from '../../lib/mail/signature.ts'
import { parseDomainTable } from '../../lib/protection/domain-table.ts'
import { judgeSignature, type SignatureJudgement } from '../../lib/protection/verification.ts'

const TABLE = parseDomainTable(
  `domains:
  strict.example: { missing_signature: reject, failed_signature: reject }
  marked.example: { missing_signature: mark, params_trust: [dnssec] }
  mild.example: { failed_signature: accept }
`,
  'hisho.yaml',
  [{ name: 'ibe' }],
)

const PASS: SignatureResult = { status: 'pass', domain: 'x', identity: 'y@x' }
const NONE: SignatureResult = { status: 'none' }
const FAIL: SignatureResult = { status: 'fail', reason: 'body changed' }
const NEUTRAL: SignatureResult = { status: 'neutral', reason: 'signed by another domain' }
const PERMERROR: SignatureResult = { status: 'permerror', reason: 'several From' }
const TEMPERROR: SignatureResult = { status: 'temperror', reason: 'dns/timeout' }

/** `publishes`: the domains that say that they sign; an error is thrown. */
async function judge(
  from: string,
  result: SignatureResult,
  publishes: readonly string[] | Error = [],
): Promise<SignatureJudgement> {
  const message = await readMessage([Buffer.from(`${from}\r\n\r\nhello\r\n`)])
  return judgeSignature(message, {
    table: TABLE,
    signatures: {
      verify: async () => result,
      publishes: async (domain) => {
        if (publishes instanceof Error) throw publishes
        return publishes.includes(domain)
      },
    },
  })
}

const away = new TempError('dns/timeout', 'no answer')

describe('what a signature means', () => {
  it('a good one is accepted everywhere', async () => {
    for (const domain of ['strict', 'marked', 'mild', 'other'])
      assert.deepEqual(await judge(`From: a@${domain}.example`, PASS), {
        result: PASS,
        action: 'accept',
        finding: 'good',
      })
  })

  for (const [domain, action] of [
    ['strict', 'reject'],
    ['mild', 'accept'],
    ['other', 'mark'],
  ] as const) {
    it(`a bad one of ${domain}.example: ${action}`, async () => {
      for (const result of [FAIL, PERMERROR])
        assert.deepEqual(await judge(`From: a@${domain}.example`, result), {
          result,
          action,
          finding: 'bad',
        })
    })
  }

  it('none is missed only where the table says so and the domain says that it signs', async () => {
    const verdicts = async (signs: boolean) =>
      Promise.all(
        ['strict', 'marked', 'other'].map(async (name) => {
          const domain = `${name}.example`
          return (await judge(`From: a@${domain}`, NONE, signs ? [domain] : [])).action
        }),
      )
    assert.deepEqual(await verdicts(true), ['reject', 'mark', 'accept'])
    assert.deepEqual(await verdicts(false), ['accept', 'accept', 'accept'])
  })

  it('one that does not speak for the author is as good as none', async () => {
    const judgement = await judge('From: a@strict.example', NEUTRAL, ['strict.example'])
    assert.equal(judgement.action, 'reject')
    assert.equal(judgement.finding, 'missing')
  })

  it('the strictest rule of all authors holds, wherever they stand', async () => {
    for (const from of [
      'From: a@mild.example, b@strict.example',
      'From: a@mild.example\r\nFrom: b@strict.example',
      'From: us: b@strict.example, a@mild.example;',
    ])
      assert.equal((await judge(from, PERMERROR)).action, 'reject')
  })

  it('where nobody can say now, what might be refused waits, and all else goes on', async () => {
    await assert.rejects(judge('From: a@strict.example', TEMPERROR), TempError)
    assert.equal((await judge('From: a@other.example', TEMPERROR)).action, 'accept')
    await assert.rejects(judge('From: a@strict.example', NONE, away), TempError)
    assert.equal((await judge('From: a@marked.example', NONE, away)).action, 'accept')
    assert.equal((await judge('From: a@other.example', NONE, away)).action, 'accept')
  })

  it('a domain whose records cannot be used is not taken for one that does not sign', async () => {
    const broken = new PermError('ibe/parameters', 'broken')
    assert.equal((await judge('From: a@strict.example', NONE, broken)).action, 'reject')
    assert.equal((await judge('From: a@marked.example', NONE, broken)).action, 'mark')
  })

  it('a message without an author is judged by the rule for all others', async () => {
    assert.equal((await judge('To: b@b.example', FAIL)).action, 'mark')
    assert.equal((await judge('From: nonsense', NONE)).action, 'accept')
  })
})
