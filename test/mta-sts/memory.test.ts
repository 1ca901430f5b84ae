import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { createPolicyMemory, type Held } from '../../lib/mta-sts/memory.ts'
import { parsePolicy } from '../../lib/mta-sts/policy.ts'
import { policyText } from './world.ts'

const LIB = join(__dirname, '..', '..', 'lib', 'mta-sts')

const heldOf = (text: string, id = '1'): Held => ({
  entry: {
    fetched: { id, fetchedAtMs: 0, text, policy: parsePolicy(text) },
    failures: [],
    purgedAtMs: undefined,
  },
  checkedAtMs: 0,
  notedAtMs: undefined,
})
const textOf = (lines: number): string =>
  `${policyText('enforce', 'mx.example.com')}${'mx: a.example\r\n'.repeat(lines)}`

describe('the policies at hand', () => {
  it('are bounded in number: what was not used for longest goes', () => {
    const memory = createPolicyMemory({ maxPolicies: 3, maxBytes: 1e6 })
    const held = heldOf(textOf(0))
    for (const domain of ['a', 'b', 'c']) memory.set(domain, held)
    memory.get('a')
    memory.set('d', held)
    assert.equal(memory.get('b'), undefined)
    for (const domain of ['a', 'c', 'd']) assert.ok(memory.get(domain))
  })

  it('S40: are bounded in bytes, however long policies are', () => {
    const memory = createPolicyMemory({ maxPolicies: 1e6, maxBytes: 4 * 1024 * 1024 })
    for (let at = 0; at < 200; at += 1) memory.set(`${at}`, heldOf(textOf(4000 + at)))
    const left = Array.from({ length: 200 }, (_, at) => memory.get(`${at}`)).filter(Boolean)
    assert.ok(left.length > 0 && left.length < 10, String(left.length))
    assert.ok(memory.get('199'))
    for (let at = 0; at < 200; at += 1) memory.delete(`${at}`)
    for (let at = 0; at < 1000; at += 1) memory.set(`${at}`, heldOf(textOf(at % 10)))
    assert.ok(memory.get('0'), 'what is gone takes no place')
  })

  it('are kept once for domains with the same text', () => {
    const memory = createPolicyMemory({ maxPolicies: 1e6, maxBytes: 3e6 })
    for (let at = 0; at < 1000; at += 1) memory.set(`${at}`, heldOf(textOf(4000)))
    const [one, other] = [memory.get('0'), memory.get('999')]
    assert.ok(one?.entry.fetched && one.entry.fetched.policy === other?.entry.fetched?.policy)
    memory.set('0', heldOf(textOf(1)))
    memory.delete('1')
    assert.ok(memory.get('2')?.entry.fetched)
  })

  it('of ten thousand domains, each with a policy of its own, take 20 MB at most', () => {
    const script = `
      const { createPolicyMemory } = require(${JSON.stringify(join(LIB, 'memory.js'))})
      const { parsePolicy } = require(${JSON.stringify(join(LIB, 'policy.js'))})
      const memory = createPolicyMemory({ maxPolicies: 10_000, maxBytes: 12 * 1024 * 1024 })
      const bytes = () => { gc(); gc(); const { heapUsed, external } = process.memoryUsage(); return heapUsed + external }
      const before = bytes()
      for (let at = 0; at < 10_000; at++) {
        const lines = ['version: STSv1', 'mode: enforce']
        for (let mx = 1; mx <= 4; mx++) lines.push('mx: mx' + mx + '.domain-' + at + '.example.com')
        // From bytes, as it comes: each text is a string of its own.
        const text = Buffer.from([...lines, 'max_age: 604800', ''].join('\\r\\n')).toString()
        const fetched = { id: '20160831085700Z' + at, fetchedAtMs: Date.now(), text, policy: parsePolicy(text) }
        memory.set('domain-' + at + '.example.com', {
          entry: { fetched, failures: [], purgedAtMs: undefined }, checkedAtMs: Date.now(), notedAtMs: Date.now() })
      }
      const after = bytes()
      if (!memory.get('domain-0.example.com')) throw new Error('not all are there')
      console.log(after - before)`
    const printed = execFileSync(process.execPath, ['--expose-gc', '-e', script]).toString()
    const taken = Number(printed)
    assert.ok(taken > 1e6 && taken < 20e6, `${taken} bytes`)
  })
})
