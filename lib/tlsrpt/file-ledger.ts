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
  const append = async (lines: readonly (readonly unknown[])[]): Promise<void> => {
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

  /** Those who come while others are written are written together. */
  const together = <T, R>(work: (all: readonly T[]) => Promise<readonly R[]>) => {
    let waiting: T[] = []
    let next: Promise<readonly R[]> | undefined
    return async (one: T): Promise<R> => {
      const place = waiting.push(one) - 1
      next ??= inTurn(() => {
        const all = waiting
        waiting = []
        next = undefined
        return work(all)
      })
      const done = await next
      return done[place]!
    }
  }
  const settleAll = together<readonly unknown[], undefined>(async (lines) => {
    await append(lines)
    return lines.map(() => undefined)
  })
  const claimAll = together<Claims, readonly string[]>(async (all) => {
    await catchUp()
    const lines = all.flatMap(({ owner, claims, nowMs }) =>
      claims
        .filter(({ name, attempt }) => mayClaim(states.get(name), attempt))
        .map(({ name, attempt }) => ['c', name, attempt, owner, nowMs]),
    )
    if (lines.length > 0) {
      await append(lines)
      await catchUp()
    }
    return all.map(({ owner, claims }) =>
      claims.filter((claim) => isOf(states.get(claim.name), owner, claim)).map(({ name }) => name),
    )
  })

  return {
    claim: (owner, claims, nowMs) => claimAll({ owner, claims, nowMs }),
    settle: (name, { attempt, owner, status, atMs }) =>
      settleAll(['s', name, attempt, owner, atMs, status]),
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

interface Claims {
  readonly owner: string
  readonly claims: readonly Claim[]
  readonly nowMs: number
}

function isOf(state: ReportState | undefined, owner: string, { attempt }: Claim): boolean {
  return state?.owner === owner && state.attempt === attempt && state.status === 'claimed'
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
