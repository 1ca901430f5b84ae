// What is remembered of each domain, for good: the records that were trusted last. Losing it is losing what was learnt, so
// rubbish here is a failure and not an absence: the store must be one that fails on damage.
import type { Cache } from '../../cache/cache.ts'
import { HishoError, TempError } from '../../errors.ts'
import { formatParameters, parseParameters, withoutSignatures } from '../parameters.ts'
import type { DomainRecord } from './records.ts'

const FOR_GOOD_SECONDS = 100 * 31_557_600

export interface Memory {
  /** TempError cache/unreachable or cache/malformed: nobody can say. */
  recall(domain: string): Promise<readonly DomainRecord[]>
  /** In place of all that was remembered; no records: forgets. */
  remember(domain: string, records: readonly DomainRecord[]): Promise<void>
}

export function createMemory(store: Cache): Memory {
  const keyOf = (domain: string): string => `ibe/remembered/${domain}`
  return {
    async recall(domain) {
      const value = await store.get(keyOf(domain))
      return value === undefined ? [] : parseMemory(domain, value)
    },
    async remember(domain, records) {
      if (records.length === 0) return store.delete(keyOf(domain))
      const value = JSON.stringify({ version: 1, records: records.map(textOf) })
      return store.set(keyOf(domain), value, FOR_GOOD_SECONDS)
    },
  }
}

/** Without signatures, which have done their work. */
function textOf({ text, parameters }: DomainRecord): string {
  return parameters.version === '2.0' ? formatParameters(withoutSignatures(parameters)) : text
}

function parseMemory(domain: string, value: string): readonly DomainRecord[] {
  try {
    const { version, records }: Partial<Record<string, unknown>> = Object(JSON.parse(value))
    if (version !== 1 || !Array.isArray(records)) throw new TypeError('not as we write it')
    return records.map((text: unknown) => {
      const parameters = typeof text === 'string' ? parseParameters(text) : undefined
      if (typeof text !== 'string' || !parameters) throw new TypeError('not a record')
      return { text, parameters }
    })
  } catch (cause) {
    if (
      !(cause instanceof HishoError || cause instanceof TypeError || cause instanceof SyntaxError)
    )
      throw cause
    const what = `what is remembered of ${domain} is damaged`
    throw new TempError('cache/malformed', what, { cause })
  }
}
