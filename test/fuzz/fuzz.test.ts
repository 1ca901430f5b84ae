import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { createRandom, mutate, pump } from '../../fuzz/mutation.ts'
import { superLinear } from '../../fuzz/pace.ts'
import { textTarget, type Target } from '../../fuzz/target.ts'
import { PermError } from '../../lib/errors.ts'

const MAIN = join(__dirname, '..', '..', 'fuzz', 'main.js')

describe('the fuzzer', () => {
  it('finds nothing in a bounded run', () => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [MAIN, '--inputs', '21000', '--seed', '1'],
      { encoding: 'utf8' },
    )
    assert.equal(status, 0, stderr)
    assert.match(stdout, /MTA-STS policy +\d+ inputs/)
  })

  it('makes the same inputs of the same number, and others of another', () => {
    const seeds = [Buffer.from('v=STSv1; id=1;')]
    const inputs = (seed: number): string[] => {
      const random = createRandom(seed)
      return Array.from({ length: 50 }, () => Buffer.from(mutate(seeds, seeds, random)).toString())
    }
    assert.deepEqual(inputs(1), inputs(1))
    assert.notDeepEqual(inputs(1), inputs(2))
    assert.equal(pump(seeds, seeds, createRandom(1))(1000).length, 1000 + 14)
  })

  it('notices time that grows with the square of the size, and no other', async () => {
    let nowMs = 0
    const paceOf = (cost: (kib: number) => number) =>
      superLinear(
        {
          name: 'spends',
          seeds: [],
          words: [],
          run: (input) => {
            nowMs += cost(input.length / 1024)
            return 'taken'
          },
        },
        (sizeBytes) => new Uint8Array(sizeBytes),
        () => nowMs,
      )
    assert.ok(await paceOf((kib) => kib ** 2 / 100))
    assert.equal(await paceOf((kib) => kib), undefined)
    assert.equal(await paceOf((kib) => kib * Math.log2(kib)), undefined)
  })

  it('takes our refusals for refusals, and nothing else', () => {
    const targetOf = (parse: (text: string) => unknown, format?: () => string): Target =>
      textTarget('x', { parse, ...(format && { format }), seeds: [], words: [] })
    const input = Buffer.from('x')
    const refusing = targetOf(() => {
      throw new PermError('mail/malformed', 'no')
    })
    assert.equal(refusing.run(input), 'refused')
    const broken = targetOf(() => {
      throw new TypeError('a bug')
    })
    assert.throws(() => broken.run(input), TypeError)
    const forgetful = targetOf(
      (text) => text,
      () => 'y',
    )
    assert.throws(() => forgetful.run(input), /is another/)
  })
})
