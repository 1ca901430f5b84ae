import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it, type TestContext } from 'node:test'
import { createFileCache } from '../../lib/cache/file.ts'
import { TempError } from '../../lib/errors.ts'
import { mountMissing, mountSmallDisk } from '../support/tmpfs.ts'
import { sharedCacheContract, createTestClock } from './contract.ts'
import { createTestLog } from './log.ts'

const MODULE = join(__dirname, '..', '..', 'lib', 'cache', 'file.js')
const CENTURY_SECONDS = 100 * 31_557_600

for (const lasting of [true, false]) {
  const name = `a directory of files that ${lasting ? '' : 'need not '}survive a power cut`
  sharedCacheContract(name, async (t: TestContext) => {
    const folder = mkdtempSync(join(tmpdir(), 'hisho-store-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const clock = createTestClock()
    return { clock, cache: createFileCache({ directory: join(folder, 'store'), clock, lasting }) }
  })
}

describe('a cache in files', () => {
  let folder = ''
  let directory = ''
  const clock = createTestClock()
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'hisho-store-'))
    directory = join(folder, 'store')
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  const onlyFile = (): string => {
    const [name = '', ...others] = readdirSync(directory)
    assert.deepEqual(others, [])
    return join(directory, name)
  }
  const unreachable = (error: unknown): boolean =>
    error instanceof TempError && error.code === 'cache/unreachable' && error.cause instanceof Error

  it('is its owner’s alone, and no file has the name of its key', async () => {
    const cache = createFileCache({ directory, clock })
    await cache.set('../../etc/passwd', 'value', 60)
    assert.equal(statSync(directory).mode & 0o777, 0o700)
    assert.equal(statSync(onlyFile()).mode & 0o777, 0o600)
    assert.match(onlyFile(), /\/[0-9a-f]{64}\.json$/)
  })

  it('makes nothing before it has something to keep', async () => {
    const cache = createFileCache({ directory, clock })
    assert.equal(await cache.get('a'), undefined)
    await cache.delete('a')
    assert.deepEqual(readdirSync(folder), [])
  })

  it('is there for the next process, for a century', async () => {
    const clock = createTestClock()
    await createFileCache({ directory, clock }).set('a', 'value', CENTURY_SECONDS)
    clock.pass(CENTURY_SECONDS - 1)
    assert.equal(await createFileCache({ directory, clock }).get('a'), 'value')
    clock.pass(1)
    assert.equal(await createFileCache({ directory, clock }).get('a'), undefined)
  })

  const damages: readonly (readonly [string, (file: string) => void])[] = [
    ['is empty', (file) => writeFileSync(file, '')],
    ['is cut', (file) => truncateSync(file, 20)],
    [
      'is another entry’s',
      (file) => writeFileSync(file, readFileSync(file, 'utf8').replace('"a"', '"b"')),
    ],
    ['has no value', (file) => writeFileSync(file, '{"key":"a","expiresAtMs":9e15}')],
    ['has no end', (file) => writeFileSync(file, '{"key":"a","value":"x","expiresAtMs":1e999}')],
    ['is null', (file) => writeFileSync(file, 'null')],
  ]
  for (const [what, damage] of damages) {
    it(`a file that ${what} is as good as none, or a failure, as the owner of the cache wants it`, async () => {
      const log = createTestLog()
      const cache = createFileCache({ directory, clock, log })
      await cache.set('a', 'value', 60)
      damage(onlyFile())
      assert.equal(await cache.get('a'), undefined)
      assert.match(log.lines.join(), /is damaged/)
      const strict = createFileCache({ directory, clock, onDamage: 'fail' })
      await assert.rejects(
        strict.get('a'),
        (error: unknown) => error instanceof TempError && error.code === 'cache/malformed',
      )
      await strict.set('a', 'again', 60)
      assert.equal(await strict.get('a'), 'again')
    })
  }

  it('says that it cannot be read, and why', async () => {
    const cache = createFileCache({ directory, clock })
    await cache.set('a', 'value', 60)
    const file = onlyFile()
    rmSync(file)
    mkdirSync(file)
    await assert.rejects(cache.get('a'), unreachable)
  })

  it('says that it cannot be written, and why', async () => {
    writeFileSync(directory, 'a file in its place')
    const cache = createFileCache({ directory, clock })
    await assert.rejects(cache.set('a', 'value', 60), unreachable)
    await assert.rejects(cache.get('a'), unreachable)
  })

  it(
    'says that it may not be written',
    { skip: process.getuid?.() === 0 && 'root may' },
    async () => {
      chmodSync(folder, 0o500)
      await assert.rejects(createFileCache({ directory, clock }).set('a', 'x', 60), unreachable)
      chmodSync(folder, 0o700)
    },
  )

  it('on a full disk the old value stays, whole', { skip: mountMissing }, async () => {
    const disk = mountSmallDisk('64k')
    try {
      const cache = createFileCache({ directory: join(disk.directory, 'store'), clock })
      await cache.set('a', 'old', 60)
      await assert.rejects(cache.set('a', 'x'.repeat(100_000), 60), unreachable)
      assert.equal(await cache.get('a'), 'old')
      assert.equal(readdirSync(join(disk.directory, 'store')).length, 1)
    } finally {
      disk.close()
    }
  })

  it('of two processes that write one key at once each finds a whole value at any time', async () => {
    const script = `
      const { createFileCache } = require(${JSON.stringify(MODULE)})
      const [directory, letter] = process.argv.slice(1)
      const cache = createFileCache({ directory, clock: { nowMs: Date.now }, onDamage: 'fail' })
      const work = async () => {
        for (let times = 0; times < 50; times++) {
          await cache.set('a', letter.repeat(20_000), 60)
          const value = await cache.get('a')
          if (!/^(?:x{20000}|y{20000})$/.test(value)) throw new Error('torn: ' + value)
        }
      }
      work().catch((error) => { console.error(error); process.exitCode = 1 })`
    const codes = await Promise.all(
      ['x', 'y'].map(async (letter) => {
        const child = spawn(process.execPath, ['-e', script, directory, letter], {
          stdio: 'inherit',
        })
        return (await once(child, 'exit'))[0] as unknown
      }),
    )
    assert.deepEqual(codes, [0, 0])
    assert.equal(readdirSync(directory).length, 1)
  })

  for (const lasting of [true, false]) {
    it(`of several processes that want one key one gets it, absent or over, ${lasting ? '' : 'not '}lasting`, async () => {
      const script = `
      const { createFileCache } = require(${JSON.stringify(MODULE)})
      const [directory, name, startMs] = process.argv.slice(1)
      const won = []
      const work = async () => {
        const cache = createFileCache({ directory, clock: { nowMs: Date.now }, lasting: ${lasting}, onDamage: 'fail' })
        while (Date.now() < Number(startMs)) await new Promise(setImmediate)
        for (let at = 0; at < 200; at++) if (await cache.setIfAbsent('lease ' + at, name, 600)) won.push(at)
        process.stdout.write(JSON.stringify(won))
      }
      work().catch((error) => { console.error(error); process.exitCode = 1 })`
      const past = createFileCache({ directory, clock: createTestClock(Date.now() - 100_000) })
      for (let at = 0; at < 100; at += 1) await past.set(`lease ${at}`, 'old', 60)
      const startMs = String(Date.now() + 700)
      const outputs = await Promise.all(
        ['x', 'y', 'z'].map(async (name) => {
          const child = spawn(process.execPath, ['-e', script, directory, name, startMs], {
            stdio: ['ignore', 'pipe', 'inherit'],
          })
          const pieces: string[] = []
          child.stdout.on('data', (piece) => pieces.push(String(piece)))
          assert.deepEqual(await once(child, 'close'), [0, null])
          return JSON.parse(pieces.join('')) as number[]
        }),
      )
      const won = outputs.flat().toSorted((one, other) => one - other)
      assert.deepEqual(
        won,
        Array.from({ length: 200 }, (_, at) => at),
      )
      assert.equal(readdirSync(directory).length, 200, 'nothing is left of the claims')
    })
  }

  it('a file that was left empty is waited for a moment, and then replaced', async () => {
    const cache = createFileCache({ directory, clock, lasting: false })
    assert.equal(await cache.setIfAbsent('a', 'x', 60), true)
    writeFileSync(onlyFile(), '')
    assert.equal(await cache.setIfAbsent('a', 'y', 60), false)
    utimesSync(onlyFile(), new Date(0), new Date(0))
    assert.equal(await cache.setIfAbsent('a', 'y', 60), true)
    assert.equal(await cache.get('a'), 'y')
  })

  it('an entry that the disk has no space for leaves nothing', { skip: mountMissing }, async () => {
    const disk = mountSmallDisk('64k')
    try {
      const store = join(disk.directory, 'store')
      const cache = createFileCache({ directory: store, clock, lasting: false })
      await assert.rejects(cache.setIfAbsent('a', 'x'.repeat(100_000), 60), unreachable)
      assert.deepEqual(readdirSync(store), [])
      assert.equal(await cache.setIfAbsent('a', 'x', 60), true)
    } finally {
      disk.close()
    }
  })

  it('goes on without a claim that was left behind', async () => {
    const clock = createTestClock()
    const cache = createFileCache({ directory, clock })
    await cache.set('lease', 'x', 60)
    const claim = `${onlyFile()}.claim`
    clock.pass(60)
    writeFileSync(claim, '')
    assert.equal(await cache.setIfAbsent('lease', 'x', 60), false)
    utimesSync(claim, new Date(0), new Date(0))
    assert.equal(await cache.setIfAbsent('lease', 'x', 60), true)
  })

  it('what is over for days is taken from the disk when the keys are listed', async () => {
    const clock = createTestClock()
    const cache = createFileCache({ directory, clock })
    await cache.set('short', 'x', 60)
    await cache.set('long', 'x', 1_000_000)
    clock.pass(86_000)
    assert.deepEqual(await cache.keys(''), ['long'])
    assert.equal(readdirSync(directory).length, 2)
    clock.pass(500)
    assert.deepEqual(await cache.keys(''), ['long'])
    assert.equal(readdirSync(directory).length, 1)
  })
})
