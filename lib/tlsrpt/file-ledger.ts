// Who has sent which report, in a file that is only ever appended to: of two lines of two processes one is the first.
import { open, type FileHandle } from 'node:fs/promises'
import { mayClaim, type Claim, type ReportState, type ReportStatus } from './day-store.ts'

export interface FileLedger {
  claim(owner: string, claims: readonly Claim[], nowMs: number): Promise<readonly string[]>
  settle(name: string, state: ReportState): Promise<void>
  states(): Promise<ReadonlyMap<string, ReportState>>
  close(): Promise<void>
}

const STATUSES: readonly ReportStatus[] = ['claimed', 'sent', 'failed', 'lost']
const PIECE_BYTES = 65_536

/** The directory must be there. */
export function createFileLedger(file: string): FileLedger {
  const states = new Map<string, ReportState>()
  let handle: FileHandle | undefined
  let readTo = 0
  let rest = ''
  let queue: Promise<unknown> = Promise.resolve()
  const settled: unknown[][] = []
  let settling: Promise<void> = Promise.resolve()

  const opened = async (): Promise<FileHandle> => (handle ??= await open(file, 'a+', 0o600))
  /** What any process has written since. */
  const catchUp = async (): Promise<void> => {
    const from = await opened()
    const piece = Buffer.alloc(PIECE_BYTES)
    for (;;) {
      const { bytesRead } = await from.read(piece, 0, PIECE_BYTES, readTo)
      if (bytesRead === 0) return
      readTo += bytesRead
      const lines = (rest + piece.toString('latin1', 0, bytesRead)).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) apply(states, line)
    }
  }
  const append = async (lines: readonly unknown[][]): Promise<void> => {
    const to = await opened()
    // A line of its own, whatever a crash has left before it.
    const text = lines.map((line) => `\n${JSON.stringify(line)}`).join('')
    await to.appendFile(`${text}\n`)
    await to.datasync()
  }
  /** One after the other: what is read back is counted from one place. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const done = queue.then(work)
    queue = done.catch(() => {})
    return done
  }

  return {
    claim: (owner, claims, nowMs) =>
      inTurn(async () => {
        await catchUp()
        const free = claims.filter(({ name, attempt }) => mayClaim(states.get(name), attempt))
        if (free.length > 0) {
          await append(free.map(({ name, attempt }) => ['c', name, attempt, owner, nowMs]))
          await catchUp()
        }
        return claims
          .filter(({ name, attempt }) => {
            const state = states.get(name)
            return state?.owner === owner && state.attempt === attempt && state.status === 'claimed'
          })
          .map(({ name }) => name)
      }),
    settle(name, { attempt, owner, status, atMs }) {
      const isFirst = settled.length === 0
      settled.push(['s', name, attempt, owner, atMs, status])
      // Those who come while others are written are written together.
      if (isFirst) settling = inTurn(() => append(settled.splice(0)))
      return settling
    },
    states: () =>
      inTurn(async () => {
        await catchUp()
        return new Map(states)
      }),
    async close() {
      await queue
      await handle?.close()
      handle = undefined
    },
  }
}

/** A line that is torn, or another's, is none. */
function apply(states: Map<string, ReportState>, line: string): void {
  let parsed: unknown
  try {
    parsed = JSON.parse(line)
  } catch {
    return
  }
  if (!Array.isArray(parsed)) return
  const [kind, name, attempt, owner, atMs, said] = parsed as unknown[]
  if (typeof name !== 'string' || typeof attempt !== 'number' || typeof owner !== 'string') return
  if (typeof atMs !== 'number') return
  const held = states.get(name)
  if (kind === 'c') {
    if (mayClaim(held, attempt)) states.set(name, { status: 'claimed', attempt, owner, atMs })
    return
  }
  const status = STATUSES.find((one) => one === said)
  if (kind === 's' && status !== undefined && held?.attempt === attempt)
    states.set(name, { status, attempt, owner, atMs })
}
