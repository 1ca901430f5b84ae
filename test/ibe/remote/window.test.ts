import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { KeyScheme } from '../../../lib/ibe/key-source.ts'
import { periodAt, periodKindOf, periodSpan, type PeriodKind } from '../../../lib/ibe/period.ts'
import { createRateLimit } from '../../../lib/ibe/remote/rate.ts'
import { judgeIdentity } from '../../../lib/ibe/remote/window.ts'
import { fakeClock } from '../fake-clock.ts'

const WINDOW = { pastMs: 14 * 86_400_000, skewMs: 600_000 }

function judge(scheme: KeyScheme, identity: string, time: string, kind: PeriodKind = 'month') {
  const request = { scheme, domain: 'b.example', identity }
  return judgeIdentity(request, kind, WINDOW, Date.parse(time)).status
}

describe('the span of a period', () => {
  it('holds every moment of which periodAt says so, and no other', () => {
    const ms = fc.integer({
      min: Date.parse('0001-01-08T00:00:00Z'),
      max: Date.parse('9998-12-24'),
    })
    const kinds = fc.constantFrom<PeriodKind>('day', 'week', 'month')
    fc.assert(
      fc.property(kinds, ms, (kind, at) => {
        const period = periodAt(kind, at) ?? assert.fail('no period')
        const { beginMs, endMs } = periodSpan(period)
        assert.ok(beginMs <= at && at < endMs)
        assert.equal(periodKindOf(period), kind)
        assert.equal(periodAt(kind, beginMs), period)
        assert.equal(periodAt(kind, endMs - 1), period)
        assert.notEqual(periodAt(kind, beginMs - 1), period)
        assert.notEqual(periodAt(kind, endMs), period)
      }),
      { numRuns: 2000 },
    )
  })
})

describe('the window of a KGC', () => {
  const cases: readonly [string, KeyScheme, string, string, ReturnType<typeof judge>][] = [
    ['the current month', 'bf', 'bob@b.example#2026-11', '2026-11-22T12:00:00Z', 'inside'],
    [
      'a month that ended 13 days ago',
      'bf',
      'bob@b.example#2026-10',
      '2026-11-14T23:59:59Z',
      'inside',
    ],
    [
      'a month that ended 14 days ago',
      'bf',
      'bob@b.example#2026-10',
      '2026-11-15T00:00:00Z',
      'outside',
    ],
    [
      'a month that begins in 10 minutes',
      'bf',
      'bob@b.example#2026-12',
      '2026-11-30T23:50:00Z',
      'inside',
    ],
    [
      'a month that begins in 11 minutes',
      'bf',
      'bob@b.example#2026-12',
      '2026-11-30T23:49:00Z',
      'outside',
    ],
    ['to sign: the current month', 'cc', 'bob@b.example#2026-11', '2026-11-22T12:00:00Z', 'inside'],
    ['to sign: a month just over', 'cc', 'bob@b.example#2026-10', '2026-11-01T00:09:59Z', 'inside'],
    [
      'to sign: a month over for 10 minutes',
      'cc',
      'bob@b.example#2026-10',
      '2026-11-01T00:10:00Z',
      'outside',
    ],
    ['another kind of period', 'bf', 'bob@b.example#2026-11-22', '2026-11-22T12:00:00Z', 'outside'],
    ['no period where there is one', 'bf', 'bob@b.example', '2026-11-22T12:00:00Z', 'outside'],
    ['another domain', 'bf', 'bob@c.example#2026-11', '2026-11-22T12:00:00Z', 'malformed'],
    ['an address in capitals', 'bf', 'Bob@b.example#2026-11', '2026-11-22T12:00:00Z', 'malformed'],
    ['no such period', 'bf', 'bob@b.example#2026-13', '2026-11-22T12:00:00Z', 'malformed'],
    ['no address', 'bf', 'bob', '2026-11-22T12:00:00Z', 'malformed'],
    ['a local part', 'bb2', 'bob', '2026-11-22T12:00:00Z', 'inside'],
    [
      'a local part with a period for a name',
      'bb2',
      'bob#2026-11',
      '2026-11-22T12:00:00Z',
      'inside',
    ],
    [
      'a local part that is an address',
      'bb2',
      'bob@b.example',
      '2026-11-22T12:00:00Z',
      'malformed',
    ],
    ['a local part in capitals', 'bb2', 'Bob', '2026-11-22T12:00:00Z', 'malformed'],
    ['an empty local part', 'bb2', '', '2026-11-22T12:00:00Z', 'malformed'],
  ]
  for (const [what, scheme, identity, time, expect] of cases) {
    it(`${what}: ${expect}`, () => assert.equal(judge(scheme, identity, time), expect))
  }

  it('an identity without a period is good for ever where the generation has none', () => {
    assert.equal(judge('bf', 'bob@b.example', '2099-01-01', 'none'), 'inside')
    assert.equal(judge('bf', 'bob@b.example#2026-11', '2026-11-22', 'none'), 'outside')
  })

  it('days and weeks have their ends too', () => {
    assert.equal(judge('bf', 'bob@b.example#2026-11-08', '2026-11-22T23:59:59Z', 'day'), 'inside')
    assert.equal(judge('bf', 'bob@b.example#2026-11-08', '2026-11-23T00:00:00Z', 'day'), 'outside')
    assert.equal(judge('bf', 'bob@b.example#2026-W45', '2026-11-22T23:59:59Z', 'week'), 'inside')
    assert.equal(judge('bf', 'bob@b.example#2026-W45', '2026-11-23T00:00:00Z', 'week'), 'outside')
  })
})

describe('the rate limit', () => {
  it('gives a minute’s worth at once, and then as time goes by', () => {
    const clock = fakeClock()
    const rate = createRateLimit(clock, 60)
    const takeAll = (): number => {
      let count = 0
      while (rate.take('mx')) count++
      return count
    }
    assert.equal(takeAll(), 60)
    assert.ok(rate.take('other'), 'a bucket for each gateway')
    clock.passMs(999)
    assert.equal(takeAll(), 0)
    clock.passMs(1)
    assert.equal(takeAll(), 1)
    clock.passMs(3_600_000)
    assert.equal(takeAll(), 60)
    rate.giveBack('mx')
    assert.equal(takeAll(), 1)
    clock.passMs(-3_600_000)
    assert.equal(takeAll(), 0, 'a clock that was set back gives nothing')
  })
})
