// The script of the workers in pool.test.ts.
import { PermError, TempError } from '../../lib/errors.ts'
import { serve } from '../../lib/crypto/serve.ts'

export interface PoolJobs {
  readonly echo: (args: { bytes: Uint8Array; text: string }) => {
    bytes: Uint8Array
    text: string
    backing: number
  }
  readonly pieces: (args: { pieces: readonly Uint8Array[] }) => { pieces: readonly Uint8Array[] }
  readonly thread: (args: undefined) => number
  readonly fail: (args: { as: 'temp' | 'perm' | 'bug' | 'other' }) => never
  readonly exit: (args: undefined) => never
  readonly hang: (args: undefined) => never
  readonly hoard: (args: undefined) => never
  readonly crash: (args: undefined) => void
  readonly wait: (args: { buffer: SharedArrayBuffer }) => Promise<string>
}

const jobs: PoolJobs = {
  echo: ({ bytes, text }) => ({ bytes, text, backing: bytes.buffer.byteLength }),
  pieces: (args) => args,
  thread: () => process.pid,
  fail({ as }) {
    if (as === 'temp') throw new TempError('dns/timeout', 'later')
    if (as === 'perm') throw new PermError('ibe/decrypt', 'never')
    if (as === 'bug') throw new TypeError('a bug')
    throw 'text' // oxlint-disable-line no-throw-literal
  },
  exit: () => process.exit(3),
  hang() {
    for (;;);
  },
  hoard() {
    const all: number[][] = []
    for (;;) all.push(Array.from({ length: 10_000 }, (_, at) => at))
  },
  crash() {
    setImmediate(() => {
      throw new Error('outside of any job')
    })
  },
  wait: ({ buffer }) => {
    const flag = new Int32Array(buffer)
    Atomics.wait(flag, 0, 0)
    return Promise.resolve('woken')
  },
}

void serve<PoolJobs>(jobs)
