// How much memory a scheme takes for a large message above what it takes for a small one: each in a process of its own, all
// threads counted. With arguments it is that process.
import { spawnSync } from 'node:child_process'
import {
  closeSync,
  createReadStream,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { messageBytes, readMessage, type ByteSource } from '../lib/mail/message.ts'
import { CONTENDERS } from './contenders.ts'
import { message } from './gateway.ts'
import type { Row } from './report.ts'
import { BOB, LARGE, sealing, SMALL, type Contender } from './schemes.ts'

const PIECE = 64 * 1024
/** What streams takes no more for a message that is so much larger still; the rest is garbage that has not been collected yet. */
const HUGE = 10 * LARGE
const CONSTANT_MB = 10
/** Of the message. */
const TIMES = 3
const OPERATIONS = ['seal', 'open'] as const
type Operation = (typeof OPERATIONS)[number]

/** What a child says. */
interface Growth {
  readonly name: string
  readonly bytes: number
  /** From a large message to a huge one, of what streams. */
  readonly moreBytes?: number
}

export function benchMemory(): Row[] {
  const rows: Row[] = []
  for (const at of CONTENDERS.keys()) {
    for (const operation of OPERATIONS) {
      const { name, bytes, moreBytes } = childFor(at, operation)
      const large = {
        name: `${name}: memory to ${operation} 25 MB`,
        value: bytes / 1e6,
        unit: 'MB',
      }
      if (moreBytes === undefined) rows.push({ ...large, target: { most: (TIMES * LARGE) / 1e6 } })
      else
        rows.push(large, {
          name: `${name}: memory to ${operation} 250 MB, more than for 25 MB`,
          value: moreBytes / 1e6,
          unit: 'MB',
          target: { most: CONSTANT_MB },
        })
    }
  }
  return rows
}

function childFor(at: number, operation: Operation): Growth {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [__filename, String(at), operation],
    { encoding: 'utf8' },
  )
  if (status !== 0) throw new Error(stderr)
  return JSON.parse(stdout) as Growth
}

async function measure(at: number, operation: Operation): Promise<Growth> {
  const folder = mkdtempSync(join(tmpdir(), 'hisho-bench-'))
  const contender = await CONTENDERS[at]!(folder)
  try {
    const work = operation === 'seal' ? seals(contender) : opens(contender, folder)
    await work.prepare(SMALL)
    for (let round = 0; round < 5; round++) await work.run(SMALL)
    const before = process.memoryUsage.rss() // nothing large was here yet
    await work.prepare(LARGE)
    resetPeak()
    await work.run(LARGE)
    const growth = { name: contender.name, bytes: Math.max(0, peakBytes() - before) }
    if (!/^(?:shared|age)/.test(contender.name)) return growth
    for (let round = 0; round < 5; round++) await work.run(LARGE)
    const peak = peakBytes()
    await work.prepare(HUGE)
    resetPeak()
    await work.run(HUGE)
    return { ...growth, moreBytes: Math.max(0, peakBytes() - peak) }
  } finally {
    await contender.close?.()
    rmSync(folder, { recursive: true })
  }
}

interface Work {
  prepare(sizeBytes: number): Promise<void>
  run(sizeBytes: number): Promise<void>
}

function seals(contender: Contender): Work {
  return {
    prepare: async () => {},
    run: async (sizeBytes) => drain(await sealing(contender, made(sizeBytes))),
  }
}

function opens(contender: Contender, folder: string): Work {
  const fileOf = (sizeBytes: number): string => join(folder, `sealed-${sizeBytes}`)
  return {
    async prepare(sizeBytes) {
      const file = openSync(fileOf(sizeBytes), 'w')
      for await (const piece of await sealing(contender, made(sizeBytes))) writeSync(file, piece)
      closeSync(file)
    },
    async run(sizeBytes) {
      const source = createReadStream(fileOf(sizeBytes), { highWaterMark: PIECE })
      const opening = await contender.scheme.open(await readMessage(source), [BOB])
      if (opening.status !== 'opened') throw new Error(opening.reason)
      await drain(messageBytes(opening.message))
    },
  }
}

/** Nothing of it is there before it is asked for. */
function* made(sizeBytes: number): Generator<Uint8Array> {
  for (let sent = 0; sent < sizeBytes; sent += PIECE) {
    const piece = message(BOB, Math.min(PIECE, sizeBytes - sent))
    yield sent === 0 ? piece : piece.subarray(piece.indexOf('\r\n\r\n') + 4)
  }
}

async function drain(source: ByteSource): Promise<void> {
  for await (const piece of source) void piece
}

/** Linux: the highest resident size since the last reset. */
function resetPeak(): void {
  writeFileSync('/proc/self/clear_refs', '5')
}

function peakBytes(): number {
  const status = readFileSync('/proc/self/status', 'latin1')
  return Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1]) * 1024
}

const [, script, at, operation] = process.argv
if (script === __filename && at !== undefined && operation !== undefined) {
  measure(Number(at), operation === 'seal' ? 'seal' : 'open').then(
    (growth) => console.log(JSON.stringify(growth)),
    (error: unknown) => {
      console.error(error)
      process.exitCode = 1
    },
  )
}
