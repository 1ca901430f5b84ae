// Whether time grows with the size of an input and no faster: a parser that takes four times as long for twice as much lets
// one message stop a server.
import type { Target } from './target.ts'

const SIZE_BYTES = 32 * 1024
const DOUBLINGS = 3
/** What takes less than that is no harm, and no measure. */
const NOTICED_MS = 4
/** Twice the size: twice the time; four times where it is quadratic. */
const LIMIT = 3

/** undefined: linear. Otherwise the times of each doubling, the last first to be noticed. */
export async function superLinear(
  target: Target,
  ofSize: (sizeBytes: number) => Uint8Array,
  nowMs: () => number = processorMs,
): Promise<readonly number[] | undefined> {
  const times: number[] = []
  for (let doubling = 0; doubling <= DOUBLINGS; doubling += 1) {
    const input = ofSize(SIZE_BYTES * 2 ** doubling)
    times.push(await timeOf(target, input, 1, nowMs))
    const [before = 0, now = 0] = times.slice(-2)
    if (doubling === 0 || (now > NOTICED_MS && now > LIMIT * before)) continue
    if (doubling === DOUBLINGS || now < NOTICED_MS * 4) return undefined
  }
  // Once more, and with the least of several times: the machine may have been busy.
  const sure: number[] = []
  for (let doubling = 1; doubling <= DOUBLINGS; doubling += 1)
    sure.push(await timeOf(target, ofSize(SIZE_BYTES * 2 ** doubling), 5, nowMs))
  const grows = sure.every((ms, at) => at === 0 || ms > LIMIT * (sure[at - 1] ?? 0))
  return grows ? sure : undefined
}

/** Of this process: what else the machine does is not counted. */
function processorMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

async function timeOf(
  target: Target,
  input: Uint8Array,
  times: number,
  nowMs: () => number,
): Promise<number> {
  let least = Infinity
  for (let time = 0; time < times; time += 1) {
    const start = nowMs()
    await target.run(input)
    least = Math.min(least, nowMs() - start)
  }
  return least
}
