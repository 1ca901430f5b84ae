import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { PermError, TempError } from '../../lib/errors.ts'
import { createOperatorKeys, type OperatorKeys } from '../../lib/key-directory/operator.ts'
import { fakeClock, type FakeClock } from '../ibe/fake-clock.ts'
import { toyFormat, toyKey } from './toy-format.ts'

const OPENPGP = toyFormat('openpgp')
const SMIME = toyFormat('smime')

describe('keys in the operator’s files', () => {
  let folder = ''
  let clock: FakeClock
  let log: string[] = []
  let keys: OperatorKeys

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'hisho-keys-'))
    mkdirSync(join(folder, 'hisho.keys', 'openpgp'), { recursive: true })
    clock = fakeClock()
    log = []
    keys = createOperatorKeys({
      directory: join(folder, 'hisho.keys'),
      clock,
      normalizeName: (name) => {
        if (name.includes(' ')) throw new PermError('mail/malformed', 'has a space')
        return name.toLowerCase()
      },
      log: (level, message) => log.push(`${level} ${message.replaceAll(folder, '')}`),
    })
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const write = (file: string, ...lines: string[]): void =>
    writeFileSync(join(folder, 'hisho.keys', file), lines.join(''))
  const find = async (name: string, format = OPENPGP): Promise<string[]> =>
    (await keys.find(format, name)).map(({ fingerprint }) => fingerprint)
  const isUnreadable = (error: unknown): boolean =>
    error instanceof TempError && error.code === 'keys/unreadable'

  it('are of the address or the domain that the file is named after, whatever its letters', async () => {
    write('openpgp/Alice@B.example.asc', toyKey('aa'))
    write('openpgp/alice@b.example.pgp', toyKey('ab'))
    write('openpgp/b.example.asc', toyKey('bb'))
    write('openpgp/notes.txt', 'nothing of ours')
    assert.deepEqual(await find('alice@b.example'), ['aa', 'ab'])
    assert.deepEqual(await find('b.example'), ['bb'])
    assert.deepEqual(await find('bob@b.example'), [])
    assert.deepEqual(await find('alice@b.example', SMIME), [])
    assert.deepEqual(log, [])
  })

  it('are read again when a file changes, comes or goes', async () => {
    write('openpgp/b.example.asc', toyKey('aa'))
    assert.deepEqual(await find('b.example'), ['aa'])
    write('openpgp/b.example.asc', toyKey('aa'), toyKey('ab'))
    write('openpgp/c.example.asc', toyKey('cc'))
    assert.deepEqual(await find('b.example'), ['aa'])
    clock.passMs(5_000)
    assert.deepEqual(await find('b.example'), ['aa', 'ab'])
    assert.deepEqual(await find('c.example'), ['cc'])
    rmSync(join(folder, 'hisho.keys', 'openpgp', 'b.example.asc'))
    clock.passMs(5_000)
    assert.deepEqual(await find('b.example'), [])
    assert.deepEqual(log, ['notice /hisho.keys/openpgp/b.example.asc: read again, 2 in it'])
  })

  it('C35: a file that becomes bad keeps the last good keys and says so once', async () => {
    write('openpgp/b.example.asc', toyKey('aa'))
    await find('b.example')
    for (const bad of ['rubbish', 'rubbish', '', 'x'.repeat(1024 * 1024 + 1)]) {
      write('openpgp/b.example.asc', bad)
      clock.passMs(5_000)
      assert.deepEqual(await find('b.example'), ['aa'])
    }
    assert.equal(log.length, 4) // each of the files is another one, by its time
    const before = log.length
    clock.passMs(5_000)
    await find('b.example')
    assert.equal(log.length, before)
    assert.match(log[0] ?? '', /error .*no key; what it held before stays in use/)
  })

  it('a file that was never good is no absence', async () => {
    write('openpgp/b.example.asc', 'rubbish')
    mkdirSync(join(folder, 'hisho.keys', 'openpgp', 'c.example.asc'))
    await assert.rejects(find('b.example'), isUnreadable)
    await assert.rejects(find('c.example'), isUnreadable)
    assert.equal(log.length, 2)
  })

  it('links lead to places inside of the directory alone', async () => {
    writeFileSync(join(folder, 'secret'), toyKey('ee'))
    write('openpgp/alice@b.example.asc', toyKey('aa'))
    symlinkSync('alice@b.example.asc', join(folder, 'hisho.keys', 'openpgp', 'b.example.asc'))
    symlinkSync(join(folder, 'secret'), join(folder, 'hisho.keys', 'openpgp', 'c.example.asc'))
    assert.deepEqual(await find('b.example'), ['aa'])
    await assert.rejects(find('c.example'), isUnreadable)
  })

  it('a name that is none is logged and left out; without the directory there are no keys', async () => {
    write('openpgp/b example.asc', toyKey('aa'))
    assert.deepEqual(await find('b.example'), [])
    clock.passMs(5_000)
    await find('b.example')
    assert.equal(log.length, 1)
    rmSync(join(folder, 'hisho.keys'), { recursive: true })
    clock.passMs(5_000)
    assert.deepEqual(await find('b.example'), [])
  })
})
