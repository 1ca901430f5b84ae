// The names of a day, each with all that was counted of it, in parts that fit into memory.
import type { Count } from './count.ts'
import type { Day } from './day.ts'
import type { DayStore, Part } from './day-store.ts'
import type { PolicyReport } from './report.ts'
import { createTally } from './tally.ts'

export interface NamedCounts {
  readonly name: string
  /** Of a host: what went there for each domain. Of a domain: one, `undefined`. */
  readonly via: ReadonlyMap<string | undefined, readonly PolicyReport[]>
}

/** Of one name and day; beyond it counts have no details. */
const LIMITS = { maxPolicies: 64, maxFailures: 500 }
/** In one part: what comes after is lost. */
const MAX_NAMES = 500_000

/** Domains of recipients first, then hosts. `lost`: told of what there was no room for. */
export async function* walkDay(
  store: Pick<DayStore, 'parts' | 'read'>,
  day: Day,
  wants: (name: string) => boolean,
  lost: (name: string) => void,
): AsyncGenerator<NamedCounts> {
  const of = await store.parts(day)
  for (const kind of ['domains', 'hosts'] as const)
    for (let part = 0; part < of; part += 1)
      yield* namesOf(await readPart(store, day, { part, of, kind }, wants, lost))
}

async function readPart(
  store: Pick<DayStore, 'read'>,
  day: Day,
  part: Part,
  wants: (name: string) => boolean,
  lost: (name: string) => void,
): Promise<readonly Count[]> {
  const tally = createTally({ ...LIMITS, maxNames: MAX_NAMES })
  for await (const count of store.read(day, part))
    if (wants(count.name) && !tally.add(count)) lost(count.name)
  return tally.drain()
}

function* namesOf(counts: readonly Count[]): Generator<NamedCounts> {
  const names = new Map<string, Map<string | undefined, PolicyReport[]>>()
  for (const { name, via, ...report } of counts) {
    const held = names.get(name) ?? new Map<string | undefined, PolicyReport[]>()
    names.set(name, held)
    held.set(via, [...(held.get(via) ?? []), report])
  }
  for (const [name, via] of names) yield { name, via }
}

/** What several lists count, in one. */
export function sumUp(
  name: string,
  lists: Iterable<readonly PolicyReport[]>,
): readonly PolicyReport[] {
  const tally = createTally({ ...LIMITS, maxNames: 1 })
  for (const list of lists)
    for (const report of list) tally.add({ ...report, name, via: undefined })
  return tally.drain().map(({ policy, successfulSessions, failedSessions, failures }) => ({
    policy,
    successfulSessions,
    failedSessions,
    failures,
  }))
}
