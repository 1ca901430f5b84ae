import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { PermError, TempError } from '../../lib/errors.ts'
import { contentTypeOf } from '../../lib/mail/content-type.ts'
import { collect, readMessage } from '../../lib/mail/message.ts'
import type { Scheme } from '../../lib/mail/scheme.ts'
import type { SignatureResult } from '../../lib/mail/signature.ts'
import { parseDomainTable } from '../../lib/protection/domain-table.ts'
import {
  contentSignatureOf,
  judgeContent,
  judgeSignature,
  type SignatureJudgement,
} from '../../lib/protection/verification.ts'

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

describe('what a signature over the content means', () => {
  const judged = async (from: string, result: SignatureResult) => {
    const { fields } = await readMessage([Buffer.from(`${from}\r\n\r\nhello\r\n`)])
    return judgeContent({ method: 'smime', result }, fields, TABLE).action
  }

  it('C14: a bad one is what the table says of bad ones, and what only does not count is accepted', async () => {
    for (const result of [FAIL, PERMERROR]) {
      assert.equal(await judged('From: a@strict.example', result), 'reject')
      assert.equal(await judged('From: a@mild.example', result), 'accept')
      assert.equal(await judged('From: a@other.example', result), 'mark')
      assert.equal(await judged('From: a@mild.example, b@strict.example', result), 'reject')
    }
    for (const result of [PASS, NONE, NEUTRAL])
      assert.equal(await judged('From: a@strict.example', result), 'accept')
  })

  it('one that cannot be judged now waits where it might be refused', async () => {
    await assert.rejects(judged('From: a@strict.example', TEMPERROR), TempError)
    assert.equal(await judged('From: a@other.example', TEMPERROR), 'accept')
  })

  it('is asked of the scheme whose message it is, at its root', async () => {
    const scheme = (name: string, type: string): Scheme => ({
      name,
      offer: async () => undefined,
      detect: () => false,
      open: async () => ({ status: 'closed', reason: '' }),
      detectSigned: (fields) => contentTypeOf(fields)?.type === type,
      verify: async (message) => {
        await collect(message.body)
        return { method: 'smime', result: { status: 'fail', reason: name } }
      },
    })
    const schemes = [scheme('one', 'x/one'), scheme('two', 'multipart/signed')]
    const of = async (text: string) =>
      contentSignatureOf(await readMessage([Buffer.from(text)]), schemes)
    const found = await of('Content-Type: multipart/signed; boundary=b\r\n\r\nx\r\n')
    assert.deepEqual(found, { method: 'smime', result: { status: 'fail', reason: 'two' } })
    assert.equal(await of('Content-Type: text/plain\r\n\r\nx\r\n'), undefined)
    const inside =
      'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/signed\r\n'
    assert.equal(await of(inside), undefined, 'C14: a part that is signed is no signed message')
  })
})

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
