// Whether a generation that the KGC names is one to believe: pinned by the operator, or published by the domain itself.
import type { Clock } from '../../clock.ts'
import { createSingleFlight } from '../../cache/single-flight.ts'
import { parseParameters, type AnyParameters } from '../parameters.ts'
import { judgePin, type PinFile, type PinVerdict } from './pins.ts'

export interface ApprovalOptions {
  readonly pins: PinFile
  /** The TXT records of a domain as they stand now. TempError dns/*: nobody can say. */
  readonly publishedTexts: (domain: string) => Promise<readonly string[]>
  readonly clock: Clock
  readonly log: (level: 'notice' | 'warn', message: string) => void
}

export interface Approval {
  /** `same`: to be believed. TempError kgc/refused or dns/*: cannot say. */
  judge(domain: string, parameters: AnyParameters): Promise<PinVerdict>
}

/** How long it is remembered that DNS did not have it. */
const ASK_AGAIN_MS = 60_000
const REMEMBERED_MAX = 1000

export function createApproval({ pins, publishedTexts, clock, log }: ApprovalOptions): Approval {
  // What a file that cannot be written does not keep. Lost with the process.
  const unwritten = new Map<string, readonly AnyParameters[]>()
  const deniedAtMs = new Map<string, number>()
  const flights = createSingleFlight<PinVerdict>()

  let last: Promise<void> = Promise.resolve()

  /** One after the other: each is read, changed and written as a whole. */
  const add = (domain: string, parameters: AnyParameters): Promise<void> => {
    last = last.then(() => append(domain, parameters))
    return last
  }
  const append = async (domain: string, parameters: AnyParameters): Promise<void> => {
    const what = `${domain}: a=${parameters.scheme} n=${parameters.n}`
    try {
      const known = await pins.read()
      await pins.write(new Map([...known, [domain, [...(known.get(domain) ?? []), parameters]]]))
      log('notice', `${what} of the KGC is what the domain publishes: pinned`)
    } catch {
      unwritten.set(domain, [...(unwritten.get(domain) ?? []), parameters])
      log('warn', `${what}: the file of pins cannot be written; say \`hisho kgc trust\``)
    }
  }
  const askDns = async (domain: string, parameters: AnyParameters): Promise<PinVerdict> => {
    const published = (await publishedTexts(domain)).flatMap(parseOrNothing)
    const verdict = judgePin(published, parameters)
    if (verdict === 'same') await add(domain, parameters)
    return verdict === 'other' ? 'unknown' : verdict // DNS may be behind: only a pin is held against the KGC
  }

  return {
    async judge(domain, parameters) {
      const known = [...((await pins.read()).get(domain) ?? []), ...(unwritten.get(domain) ?? [])]
      const verdict = judgePin(known, parameters)
      if (verdict !== 'unknown') return verdict
      const name = `${domain} ${parameters.scheme} ${parameters.n}`
      if (clock.nowMs() - (deniedAtMs.get(name) ?? -Infinity) < ASK_AGAIN_MS) return 'unknown'
      const found = await flights.fetchOnce(name, () => askDns(domain, parameters))
      if (deniedAtMs.size > REMEMBERED_MAX) deniedAtMs.clear()
      if (found === 'unknown') deniedAtMs.set(name, clock.nowMs())
      return found
    },
  }
}

function parseOrNothing(text: string): readonly AnyParameters[] {
  try {
    return [parseParameters(text) ?? []].flat()
  } catch {
    return [] // the directory has told about it
  }
}
