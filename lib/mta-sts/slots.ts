// How many fetches may be under way, and how many wait for a turn: a flood of domains costs no more than that.
import { TempError } from '../errors.ts'

export interface SlotsOptions {
  readonly max: number
  readonly maxWaiting: number
  readonly waitMs: number
}

export interface Slots {
  /** TempError mta-sts/busy: the line is too long, or it took too long. */
  run<T>(work: () => Promise<T>): Promise<T>
}

export function createSlots({ max, maxWaiting, waitMs }: SlotsOptions): Slots {
  const waiting = new Set<() => void>() // in the order of arrival
  let running = 0

  const enter = (): Promise<void> => {
    if (running < max) {
      running += 1
      return Promise.resolve()
    }
    if (waiting.size >= maxWaiting) throw busy('too many wait for a fetch')
    return new Promise((resolve, reject) => {
      const start = (): void => {
        clearTimeout(timer)
        resolve()
      }
      const timer = setTimeout(() => {
        waiting.delete(start)
        reject(busy(`no turn in ${waitMs} ms`))
      }, waitMs)
      waiting.add(start)
    })
  }
  /** The place goes to the next in line, and is free only if there is none. */
  const leave = (): void => {
    const [next] = waiting
    if (next === undefined) running -= 1
    else {
      waiting.delete(next)
      next()
    }
  }

  return {
    async run(work) {
      await enter()
      try {
        return await work()
      } finally {
        leave()
      }
    },
  }
}

function busy(what: string): TempError {
  return new TempError('mta-sts/busy', `MTA-STS: ${what}`)
}
