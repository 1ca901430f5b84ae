import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { afterEach, describe, it } from 'node:test'
import { createWorkerPool } from '../../lib/crypto/pool.ts'
import type { PoolOptions, WorkerPool } from '../../lib/crypto/pool.ts'
import { PermError, TempError } from '../../lib/errors.ts'
import type { PoolJobs } from './pool-worker.ts'

const ENTRY = join(__dirname, 'pool-worker.js')
const lost = { code: 'crypto/worker', statusClass: 4 }
const busy = { code: 'crypto/busy', statusClass: 4 }

describe('a worker pool', () => {
  const pools: WorkerPool<PoolJobs>[] = []
  const open = (options: Partial<PoolOptions> = {}): WorkerPool<PoolJobs> => {
    const pool = createWorkerPool<PoolJobs>({ entry: ENTRY, size: 1, queueLimit: 10, ...options })
    pools.push(pool)
    return pool
  }
  afterEach(async () => {
    await Promise.all(pools.splice(0).map((pool) => pool.close()))
  })

  it('runs a job on a copy of the bytes, and carries nothing else of their buffer across', async () => {
    const buffer = randomBytes(4096)
    const bytes = new Uint8Array(buffer.buffer, buffer.byteOffset + 10, 32)
    const before = Uint8Array.from(bytes)
    const answer = await open().run('echo', { bytes, text: 'x' })
    assert.deepEqual(answer, { bytes: before, text: 'x', backing: 32 })
    assert.deepEqual(Uint8Array.from(bytes), before)
  })

  it('takes large bytes that are given away as they are, and gives them back so', async () => {
    const bytes = new Uint8Array(1_000_000).fill(7)
    const list = [new Uint8Array(1_000_000).fill(8), new Uint8Array(10).fill(9)]
    const view = new Uint8Array(new ArrayBuffer(2_000_000), 10, 1_000_000).fill(6)
    const pool = open()
    const { pieces } = await pool.run('pieces', { pieces: [bytes, ...list, view] }, 'give')
    assert.deepEqual(
      pieces.map((piece) => [piece.length, piece[5], piece.buffer.byteLength]),
      [
        [1_000_000, 7, 1_000_000],
        [1_000_000, 8, 1_000_000],
        [10, 9, 10],
        [1_000_000, 6, 1_000_000],
      ],
    )
    assert.deepEqual([bytes.length, list[0]?.length, list[1]?.[0]], [0, 0, 9])
    assert.equal((await pool.run('pieces', { pieces: [view, view] })).pieces[1]?.[5], 6)
    assert.equal(view[5], 6)
  })

  it('brings errors back with their class and code', async () => {
    const pool = open()
    await assert.rejects(pool.run('fail', { as: 'temp' }), (error: unknown) => {
      assert.ok(error instanceof TempError)
      assert.deepEqual([error.code, error.message], ['dns/timeout', 'later'])
      return true
    })
    await assert.rejects(pool.run('fail', { as: 'perm' }), PermError)
    await assert.rejects(pool.run('fail', { as: 'bug' }), { name: 'Error', message: 'a bug' })
    await assert.rejects(pool.run('fail', { as: 'other' }), Error)
    assert.equal(await pool.run('thread', undefined), process.pid)
  })

  it('replaces a worker that exits, and one that throws outside of any job', async () => {
    const lines: string[] = []
    const pool = open({ log: (line) => lines.push(line) })
    const exiting = pool.run('exit', undefined)
    const queued = pool.run('thread', undefined)
    await assert.rejects(exiting, lost)
    assert.equal(await queued, process.pid, 'the queue goes on')
    // The thread dies about when it answers: this job meets that, a later one or none; those after it are served.
    const survive = (error: unknown): void => assert.ok(error instanceof TempError)
    await pool.run('crash', undefined).catch(survive)
    const isLogged = (): boolean => lines.some((line) => line.includes('outside of any job'))
    while (!isLogged()) {
      await pool.run('thread', undefined).catch(survive)
    }
    assert.equal(await pool.run('thread', undefined), process.pid)
  })

  it('ends a job that hangs, and goes on with the queue', async () => {
    const pool = open({ jobTimeoutMs: 400 })
    const hanging = pool.run('hang', undefined)
    const queued = pool.run('thread', undefined)
    await assert.rejects(hanging, lost)
    assert.equal(await queued, process.pid)
  })

  it('C27 C28: ends a thread that needs more memory than it may, and goes on with another', async () => {
    const pool = open({ resourceLimits: { maxOldGenerationSizeMb: 16 } })
    await assert.rejects(pool.run('hoard', undefined), lost)
    assert.equal(await pool.run('thread', undefined), process.pid)
  })

  it('refuses a job when the queue is full, and takes one when there is room again', async () => {
    const pool = open({ queueLimit: 2 })
    const buffer = new SharedArrayBuffer(4)
    const running = pool.run('wait', { buffer })
    const queued = [pool.run('thread', undefined), pool.run('thread', undefined)]
    assert.equal(pool.queued, 2)
    await assert.rejects(pool.run('thread', undefined), busy)
    const flag = new Int32Array(buffer)
    Atomics.store(flag, 0, 1)
    Atomics.notify(flag, 0)
    assert.equal(await running, 'woken')
    await Promise.all(queued)
    assert.equal(await pool.run('thread', undefined), process.pid)
  })

  it('uses as many threads as it has, and starts them when warmed', async () => {
    const pool = open({ size: 3 })
    assert.deepEqual(pool.threadIds, [])
    pool.warm()
    assert.equal(new Set(pool.threadIds).size, 3)
    await pool.run('thread', undefined)
    assert.equal(pool.threadIds.length, 3)
  })

  it('rejects what runs and what waits when it is closed, and whatever comes later', async () => {
    const pool = open()
    const jobs = [pool.run('hang', undefined), pool.run('thread', undefined)]
    const outcomes = Promise.allSettled(jobs)
    await pool.close()
    for (const outcome of await outcomes) {
      assert.equal(outcome.status, 'rejected')
      assert.equal(outcome.reason.code, 'crypto/worker')
    }
    await assert.rejects(pool.run('thread', undefined), lost)
    await pool.close()
  })

  it('does not spin on a worker that cannot start: its jobs fail, and it is tried again after a while', async () => {
    let starts = 0
    const entry = join(__dirname, 'broken-worker.js')
    const pool = open({ entry, size: 2, log: () => starts++ })
    const jobs = Array.from({ length: 6 }, () => pool.run('thread', undefined))
    for (const outcome of await Promise.allSettled(jobs)) assert.equal(outcome.status, 'rejected')
    assert.equal(starts, 2)
    await assert.rejects(pool.run('thread', undefined), lost)
    assert.equal(starts, 2, 'no start while the wait is on')
  })

  it('a job whose arguments cannot be sent fails alone', async () => {
    const pool = open()
    const odd = { bytes: new Uint8Array(1), text: (() => 'x') as unknown as string }
    await assert.rejects(pool.run('echo', odd))
    assert.equal(await pool.run('thread', undefined), process.pid)
  })

  it('keeps a process alive for its jobs, and for nothing else', () => {
    const script = `
      const { createWorkerPool } = require(${JSON.stringify(require.resolve('../../lib/crypto/pool.js'))})
      const pool = createWorkerPool({ entry: ${JSON.stringify(ENTRY)}, size: 2, queueLimit: 1 })
      pool.warm()
      pool.run('echo', { bytes: new Uint8Array(1), text: 'done' }).then((answer) => console.log(answer.text))
    `
    const output = execFileSync(process.execPath, ['-e', script], {
      encoding: 'utf8',
      timeout: 20_000,
    })
    assert.equal(output.trim(), 'done')
  })
})
