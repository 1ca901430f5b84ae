// The texts that stand at a domain's name, as records that can be used, and the others with what is wrong with them.
import { PermError } from '../../errors.ts'
import {
  isParameterRecord,
  parseParameters,
  type AnyParameters,
  type Scheme,
} from '../parameters.ts'

export const RECORD_LABEL = '_ibemailkey'

export const SCHEMES = ['bf', 'cc', 'bb2'] as const satisfies readonly Scheme[]

/** More are not looked at. */
const RECORDS_MAX = 64

export interface DomainRecord {
  readonly text: string
  readonly parameters: AnyParameters
}

/** A record of ours that counts for nothing, but is there. */
export interface UnusableRecord {
  readonly scheme: Scheme | 'unknown'
  readonly reason: string
}

export interface DomainRecords {
  readonly usable: readonly DomainRecord[]
  readonly unusable: readonly UnusableRecord[]
}

/** What is not ours is left out in silence. */
export function readRecords(texts: readonly string[]): DomainRecords {
  const usable: DomainRecord[] = []
  const unusable: UnusableRecord[] = []
  for (const text of texts.filter(isParameterRecord).slice(0, RECORDS_MAX)) {
    try {
      const parameters = parseParameters(text)
      if (parameters) usable.push({ text, parameters })
    } catch (error) {
      if (!(error instanceof PermError)) throw error
      unusable.push({ scheme: schemeNamedIn(text), reason: error.message })
    }
  }
  return { usable, unusable }
}

/** The records that pass, and with the others those that do not. */
export async function checkRecords(
  { usable, unusable }: DomainRecords,
  check: (parameters: AnyParameters) => Promise<void>,
): Promise<DomainRecords> {
  const failures = await Promise.all(
    usable.map(async ({ parameters }): Promise<UnusableRecord | undefined> => {
      try {
        await check(parameters)
        return undefined
      } catch (error) {
        if (!(error instanceof PermError)) throw error
        const { scheme, n } = parameters
        return { scheme, reason: `a=${scheme} n=${n}: ${error.message}` }
      }
    }),
  )
  return {
    usable: usable.filter((_, at) => failures[at] === undefined),
    unusable: [...unusable, ...failures.filter((one) => one !== undefined)],
  }
}

/** A guess, so that a broken record counts against its own scheme and no other. */
function schemeNamedIn(text: string): Scheme | 'unknown' {
  const [, name] = /;\s*a\s*=\s*([a-z0-9]*)\s*(?:;|$)/.exec(text) ?? []
  return SCHEMES.find((scheme) => scheme === name) ?? 'unknown'
}
