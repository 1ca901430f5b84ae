import assert from 'node:assert/strict'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { retireAtMs, rotationStep, type RotationFacts } from '../../lib/cli/rotation.ts'
import { SecretBytes } from '../../lib/crypto/secret-bytes.ts'
import type { MasterKeyEntry } from '../../lib/vault/contents.ts'
import { clockEnvironment } from '../support/clock-environment.ts'
import { openReadySite, publish, type Site } from './site.ts'

const DAY = 86_400_000
const NOW = Date.parse('2026-11-22T12:00:00Z')
const at = (days: number): string => new Date(NOW + days * DAY).toISOString()

function entry(n: number, more: Partial<MasterKeyEntry> = {}): MasterKeyEntry {
  const masterKey = new SecretBytes(new Uint8Array(32).fill(n))
  return { scheme: 'bf', n, period: 'month', masterKey, publicKey: '', created: at(-30), ...more }
}

/** The serials in DNS stand first. */
function step(
  published: readonly number[],
  active: readonly MasterKeyEntry[],
  facts: Partial<RotationFacts> = {},
) {
  return rotationStep({
    active,
    isPublished: ({ n }) => published.includes(n),
    ttlSeconds: 3600,
    queueDays: 5,
    nowMs: NOW,
    ...facts,
  })
}

describe('the steps of a rotation', () => {
  for (const [name, published, active, wanted] of [
    ['no key', [], [], 'none'],
    ['one key, in DNS', [1], [entry(1)], 'steady'],
    ['one key, not in DNS', [], [entry(1)], 'publish'],
    ['a new key that is not in DNS', [1], [entry(2), entry(1)], 'publish'],
    ['both in DNS since now', [1, 2], [entry(2), entry(1)], 'wait'],
    ['both in DNS since an hour', [1, 2], [entry(2, { published: at(-1 / 24) }), entry(1)], 'wait'],
    [
      'both in DNS for two hours',
      [1, 2],
      [entry(2, { published: at(-2 / 24) }), entry(1)],
      'withdraw',
    ],
    ['withdrawn and there', [1, 2], [entry(2), entry(1, { withdrawn: at(0) })], 'unpublish'],
    ['withdrawn and gone', [2], [entry(2), entry(1, { withdrawn: at(-4) })], 'drain'],
    ['gone for six days', [2], [entry(2), entry(1, { withdrawn: at(-6) })], 'retire'],
    [
      'one of two is due',
      [3],
      [entry(3), entry(2, { withdrawn: at(-1) }), entry(1, { withdrawn: at(-9) })],
      'retire',
    ],
  ] as const)
    it(`${name}: ${wanted}`, () => assert.equal(step(published, active).step, wanted))

  it('a TTL of a week is waited for a day, since no sender keeps an answer longer', () => {
    const both = [entry(2, { published: at(-1.1) }), entry(1)]
    assert.equal(step([1, 2], both, { ttlSeconds: 7 * 86_400 }).step, 'withdraw')
    assert.equal(
      step([1, 2], both.slice(0, 1).concat(entry(1)), {
        ttlSeconds: 7 * 86_400,
        nowMs: NOW - DAY / 2,
      }).step,
      'wait',
    )
  })

  it('the record of a signing key stays as long as mail may be under way, and then the key can go at once', () => {
    const next = (published: string) => entry(2, { scheme: 'cc', published })
    const older = entry(1, { scheme: 'cc' })
    assert.equal(step([1, 2], [next(at(-4)), older]).step, 'wait')
    assert.equal(step([1, 2], [next(at(-6)), older]).step, 'withdraw')
    assert.equal(step([2], [next(at(-6)), { ...older, withdrawn: at(0) }]).step, 'retire')
  })

  it('retire only after the longest queue time, counted from the withdrawal', () => {
    const facts = { ttlSeconds: 3600, queueDays: 5 }
    assert.equal(retireAtMs(entry(1), facts), Infinity)
    const due = retireAtMs(entry(1, { withdrawn: at(0) }), facts)
    assert.ok(due > NOW + 5 * DAY && due < NOW + 5.1 * DAY)
    assert.ok(
      retireAtMs(entry(1, { withdrawn: at(0) }), { ...facts, queueDays: 9 }) > NOW + 9 * DAY,
    )
  })
})

describe('hisho kgc rotate', () => {
  let site: Site
  before(async () => {
    site = await openReadySite('a.example')
  })
  after(() => site.close())

  const rotate = async (...more: string[]): Promise<string> => {
    const { code, text, stderr } = await site.run([
      'kgc',
      'rotate',
      '--domain',
      'a.example',
      ...more,
    ])
    assert.equal(code, 0, stderr)
    return text
  }
  const doctor = async (): Promise<string> => (await site.run(['doctor'])).text

  const later = (days: number): Record<string, string> => clockEnvironment(days * DAY)
  const rotateLater = async (days: number): Promise<string> => {
    const args = ['kgc', 'rotate', '--domain', 'a.example']
    const { code, text, stderr } = await site.run(args, { env: later(days) })
    assert.equal(code, 0, stderr)
    return text
  }

  it('leads from one generation to the next, a step at a time, and doctor says where it stands', async () => {
    const first = await rotate()
    assert.match(
      first,
      /bf n=2 of a\.example is new in the vault[^]*Publish bf n=2, beside[^]*cc n=2/,
    )
    assert.match(first, /; s=1:/)
    assert.match(
      await rotate(),
      /Publish bf n=2/,
      'asked again it says the same, and makes nothing',
    )
    assert.match(await doctor(), /bf n=2, the newest, is not published/)

    await publish(site, 'a.example', 2)
    assert.match(await rotate(), /bf n=2 is published beside bf n=1\. Leave both/)
    assert.match(await doctor(), /ok +rotation of a\.example +bf n=2 is published beside bf n=1/)

    const third = await rotateLater(7)
    assert.match(
      third,
      /Remove from DNS, and leave bf n=2 there:[^]*a=bf[^]* n=1;[^]*a=cc[^]* n=1;/,
    )
    await publish(site, 'a.example', 2) // what is withdrawn is no longer said
    const waiting = await rotateLater(7)
    assert.match(waiting, /bf n=1 opens what is under way; retire it after/)
    assert.match(waiting, /cc n=1 can be retired/)
    const early = await site.run(['kgc', 'retire', '--domain', 'a.example', '--n', '1', '--yes'], {
      env: later(7),
    })
    assert.equal(early.code, 64)
    assert.match(early.stderr, /may be needed until/)

    const retire = ['kgc', 'retire', '--domain', 'a.example', '--yes']
    assert.match(
      (await site.run(retire, { env: later(13) })).text,
      /bf n=1, cc n=1 of a\.example: retired/,
    )
    assert.doesNotMatch(await doctor(), /rotation of/)
  })
})

describe('hisho accident', () => {
  let site: Site
  before(async () => {
    site = await openReadySite('a.example')
  })
  after(() => site.close())

  const accident = async (...args: string[]): Promise<string> => {
    const { code, text, stderr } = await site.run([
      'accident',
      ...args,
      '--notices',
      site.file('notices'),
    ])
    assert.equal(code, 0, stderr)
    return text
  }
  const notice = (name: string): string => {
    const file = site.file(`notices/${name}`)
    assert.equal(statSync(file).mode & 0o777, 0o600)
    return readFileSync(file, 'utf8')
  }
  const active = async (): Promise<string[]> => {
    const { text } = await site.run(['kgc', 'list', '--json'])
    const rows = JSON.parse(text) as { scheme: string; n: number; withdrawn: string | null }[]
    return rows
      .filter(({ withdrawn }) => withdrawn === null)
      .map(({ scheme, n }) => `${scheme} ${n}`)
  }

  it('a password: no key changes, and the notice says what to do', async () => {
    const text = await accident('password', 'Alice@a.example', '--since', '2026-11-01')
    assert.match(text, /No key is affected[^]*Change the password of alice@a\.example/)
    assert.match(notice('alice@a.example.txt'), /since 2026-11-01 00:00 UTC/)
    assert.deepEqual(await active(), ['bf 1', 'cc 1'])
  })

  it('an identity key: it ends with its period, and the notice says from when to when', async () => {
    const text = await accident('identity-key', 'alice@a.example')
    assert.match(text, /It ends by itself on \d{4}-\d\d-01T00:00Z/)
    assert.match(notice('alice@a.example.txt'), /between \d{4}-\d\d-01 00:00 UTC and \d{4}-\d\d-01/)
    assert.deepEqual(await active(), ['bf 1', 'cc 1'])
  })

  it('an identity key at once: new parameters, which the old ones vouch for', async () => {
    const text = await accident('identity-key', 'alice@a.example', '--rotate')
    assert.match(text, /publish:[^]*a=bf[^]*n=2[^]*s=1:[^]*and remove:[^]*n=1;/)
    assert.deepEqual(await active(), ['bf 2', 'cc 2'])
  })

  it('the master key: new ones that no leaked one vouches for, the old ones withdrawn, everybody told', async () => {
    const text = await accident('master-key', '--domain', 'a.example')
    const publishing = text.slice(text.indexOf('publish:'), text.indexOf('and remove:'))
    assert.match(publishing, /a=bf[^]*n=3[^]*a=cc[^]*n=3/)
    assert.doesNotMatch(text, /s=\d/)
    assert.match(text.slice(text.indexOf('and remove:')), /a=bf[^]*n=2;[^]*a=bf[^]*n=1;/)
    assert.deepEqual(await active(), ['bf 3', 'cc 3'])
    assert.match(notice('a.example-users.txt'), /may have been read/)
    const operators = notice('a.example-correspondents.txt')
    assert.match(operators, /params accept a\.example[^]*/)
    assert.ok(operators.includes('a=bf; c=bls12-381; n=3'))
    const { text: list } = await site.run(['kgc', 'list', '--json'])
    for (const { n, fingerprint } of JSON.parse(list) as { n: number; fingerprint: string }[])
      assert.equal(operators.includes(`n=3, fingerprint ${fingerprint}`), n === 3)
    assert.ok(existsSync(site.file('notices')))
    const next = await site.run(['kgc', 'new', '--domain', 'a.example'])
    assert.match(next.text, /; s=3:[^,]*"/, 'leaked ones vouch for nothing later either')
  })
})
