import assert from 'node:assert/strict'
import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { PermError } from '../../lib/errors.ts'
import { openTableFile } from '../../lib/protection/table-file.ts'

const REQUIRED = "domains: { '*': { encrypt: required } }\n"
const NEVER = "domains: { '*': { encrypt: never } }\n"

describe('the table of domains on the disk', () => {
  let folder = ''
  let file = ''
  let nowMs = 0
  let log: string[] = []

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'hisho-table-'))
    file = join(folder, 'hisho.yaml')
    nowMs = 1_000_000
    log = []
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const open = () =>
    openTableFile({
      file,
      kinds: [{ name: 'ibe' }],
      clock: { nowMs: () => nowMs },
      log: (level, message) => log.push(`${level} ${message}`),
    })
  // By another file of that name, as editors do it: the same second and size do not hide it.
  const write = (text: string): void => {
    writeFileSync(join(folder, 'new'), text)
    renameSync(join(folder, 'new'), file)
  }

  it('is read again after a change, a few seconds later and not before', () => {
    write(REQUIRED)
    const table = open()
    write(NEVER)
    nowMs += 1_000
    assert.equal(table.current().ruleFor('b.example').encrypt, 'required')
    nowMs += 1_000
    assert.equal(table.current().ruleFor('b.example').encrypt, 'never')
    assert.deepEqual(log, [`notice domain table read again: ${file}`])
  })

  it('is not read again when it did not change', () => {
    write(REQUIRED)
    const table = open()
    const first = table.current()
    nowMs += 60_000
    assert.equal(table.current(), first)
    assert.deepEqual(log, [])
  })

  it('a bad edit keeps the last good one, and is said once', () => {
    write(REQUIRED)
    const table = open()
    write("domains: { '*': { encrypt: sometimes } }\n")
    for (let look = 0; look < 5; look++) {
      nowMs += 5_000
      assert.equal(table.current().ruleFor('b.example').encrypt, 'required')
    }
    assert.equal(log.length, 1)
    assert.match(
      log[0] ?? '',
      /^error domain table refused, the last good one stays: .*hisho\.yaml:1:28: .*encrypt/,
    )
    write(NEVER)
    nowMs += 5_000
    assert.equal(table.current().ruleFor('b.example').encrypt, 'never')
  })

  const losses: readonly [string, () => void][] = [
    ['was removed', () => rmSync(file)],
    ['cannot be looked at', () => (rmSync(file), symlinkSync('hisho.yaml', file))],
    ['is a directory', () => (rmSync(file), symlinkSync('.', file))],
  ]
  for (const [title, lose] of losses) {
    it(`a table that ${title} keeps the last good one, and is said once`, () => {
      write(REQUIRED)
      const table = open()
      lose()
      for (let look = 0; look < 3; look++) {
        nowMs += 5_000
        assert.equal(table.current().ruleFor('b.example').encrypt, 'required')
      }
      assert.match(log.join('\n'), /^error .*cannot be read$/)
    })
  }

  it('must be there, and good, at start', () => {
    assert.throws(
      open,
      (error: unknown) => error instanceof PermError && /cannot be read/.test(error.message),
    )
    write('locl: []\n')
    assert.throws(
      open,
      (error: unknown) => error instanceof PermError && /hisho\.yaml:1:7/.test(error.message),
    )
  })
})
