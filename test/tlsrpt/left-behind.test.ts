// What a process leaves behind for the next one.
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { createLeftBehind } from '../../lib/tlsrpt/left-behind.ts'

const COUNT = {
  name: 'b.example',
  via: undefined,
  policy: {
    policyType: 'no-policy-found',
    policyDomain: 'b.example',
    policyStrings: [],
    mxHosts: [],
  },
  successfulSessions: 3,
  failedSessions: 1,
  failures: [{ resultType: 'starttls-not-supported', failedSessions: 1 }],
} as const

const folder = mkdtempSync(join(tmpdir(), 'hisho-left-'))
after(() => rmSync(folder, { recursive: true, force: true }))

describe('what a process leaves behind', () => {
  const directory = join(folder, 'left')
  const left = createLeftBehind(directory)

  it('is nothing at first', async () => {
    assert.deepEqual(await left.read(), [])
  })

  it('is read by the next one, until it has kept it', async () => {
    left.write('2026-11-21', { id: 'one', counts: [COUNT] })
    left.write('2026-11-22', { id: 'two', counts: [COUNT, COUNT] })
    left.write('2026-11-22', { id: 'two', counts: [COUNT, COUNT] })
    const read = Array.from(await createLeftBehind(directory).read())
    read.sort((one, other) => (one.day < other.day ? -1 : 1))
    assert.deepEqual(
      read.map(({ day, batch }) => [day, batch]),
      [
        ['2026-11-21', { id: 'one', counts: [COUNT] }],
        ['2026-11-22', { id: 'two', counts: [COUNT, COUNT] }],
      ],
    )
    await read.find(({ batch }) => batch.id === 'one')?.forget()
    assert.deepEqual(
      (await left.read()).map(({ batch }) => batch.id),
      ['two'],
    )
    assert.equal(statSync(directory).mode & 0o777, 0o700)
  })

  it('is not what is torn, or of others', async () => {
    const [name = ''] = readdirSync(directory)
    truncateSync(join(directory, name), 30)
    for (const [at, text] of ['[]', '{}', '["today","x",[]]', '["2026-11-21",1,[]]'].entries())
      writeFileSync(join(directory, `${at}.left`), text)
    writeFileSync(join(directory, 'notes.txt'), 'hello')
    assert.deepEqual(await left.read(), [])
  })
})
