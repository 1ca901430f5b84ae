import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { PermError } from '../../lib/errors.ts'
import type { Ini } from '../../lib/services/ini-reader.ts'
import { parseTlsrptSettings } from '../../lib/services/tlsrpt-settings.ts'
import { ROOT } from '../support/haraka.ts'

/** What the package ships, as Haraka's loader would give it, with these keys set. */
function ini(changes: Readonly<Record<string, Readonly<Record<string, string>>>> = {}): Ini {
  const sections: Record<string, Record<string, unknown>> = {}
  let section = 'main'
  for (const line of readFileSync(join(ROOT, 'config', 'hisho.tlsrpt.ini'), 'utf8').split('\n')) {
    section = /^\[(.+)\]$/.exec(line)?.[1] ?? section
    const [, key, value] = /^([a-z_]+)=(.*)$/.exec(line) ?? []
    if (key !== undefined) sections[section] = { ...sections[section], [key]: value }
  }
  for (const [name, keys] of Object.entries(changes))
    sections[name] = { ...sections[name], ...keys }
  return sections
}

const parse = (changes?: Parameters<typeof ini>[0]) =>
  parseTlsrptSettings(ini(changes), (path) => path)

describe('hisho.tlsrpt.ini', () => {
  it('as it is shipped counts, and sends nothing, for want of a sender', () => {
    const settings = parse()
    assert.equal(settings.enabled, true)
    assert.equal(settings.report, undefined)
  })

  it('R27: with a sender sends, in the name of his domain', () => {
    const { report } = parse({
      report: { from: 'tls@bücher.example', suppress: 'B.example, x@c.example' },
    })
    assert.equal(report?.from, 'tls@xn--bcher-kva.example')
    assert.equal(report?.contact, report?.from)
    assert.equal(report?.organization, 'xn--bcher-kva.example')
    assert.equal(report?.maxDelayMs, 4 * 3_600_000)
    assert.deepEqual([...(report?.suppressed ?? [])], ['b.example', 'x@c.example'])
  })

  it('off sends nothing; the contact is of the domain that signs', () => {
    const from = 'tls@a.example'
    assert.equal(parse({ report: { from, mode: 'off' } }).report, undefined)
    assert.equal(parse({ report: { from, mode: 'dry_run' } }).report?.mode, 'dry_run')
    assert.equal(parse({ report: { from, contact: 'x@a.example' } }).report?.contact, 'x@a.example')
    for (const report of [
      { from, contact: 'x@b.example' },
      { from, mode: 'sometimes' },
      { from: 'nobody' },
      { from: 'a b@a.example' },
      { from: 'a@a.example\r\nBcc: x@b.example' },
      { from, redirect_to: 'x' },
      { from, max_delay: '-1' },
    ])
      assert.throws(() => parse({ report }), PermError, JSON.stringify(report))
  })
})
