// What a KGC says of our domains, beside what is pinned and what DNS has.
import { HishoError, PermError } from '../errors.ts'
import { parseParameters, type AnyParameters } from '../ibe/parameters.ts'
import type { KgcClient } from '../ibe/remote/kgc-client.ts'
import {
  fingerprintOf,
  judgePin,
  recordOf,
  type Pins,
  type PinVerdict,
} from '../ibe/remote/pins.ts'
import { KEY_SCHEMES } from '../ibe/remote/protocol.ts'
import type { Services } from '../services/services.ts'
import type { Context } from './context.ts'
import { label } from './generation-label.ts'

export interface SurveyRow {
  readonly domain: string
  readonly parameters: AnyParameters
  readonly pin: PinVerdict
  /** `unanswered`: DNS did not say. */
  readonly dns: PinVerdict | 'unanswered'
}

export interface Survey {
  readonly rows: readonly SurveyRow[]
  /** Pinned, and not known to the KGC any more. */
  readonly gone: readonly { readonly domain: string; readonly parameters: AnyParameters }[]
}

/** TempError kgc/unreachable or kgc/refused. PermError kgc/refused: a public key that is none. */
export async function surveyKgc(
  context: Context,
  client: Pick<KgcClient, 'generations'>,
  pins: Pins,
  domains: readonly string[],
): Promise<Survey> {
  const services = context.services('without-table')
  const rows: SurveyRow[] = []
  for (const domain of domains) {
    const published = await publishedBy(services, domain)
    for (const scheme of KEY_SCHEMES) {
      for (const generation of await client.generations(domain, scheme)) {
        const parameters = recordOf(scheme, generation)
        await checkPoints(services, parameters)
        const pin = judgePin(pins.get(domain) ?? [], parameters)
        const dns = published ? judgePin(published, parameters) : 'unanswered'
        rows.push({ domain, parameters, pin, dns })
      }
    }
  }
  const gone = domains.flatMap((domain) =>
    (pins.get(domain) ?? [])
      .filter((pinned) => !rows.some((row) => row.domain === domain && isSerialOf(row, pinned)))
      .map((parameters) => ({ domain, parameters })),
  )
  return { rows, gone }
}

function isSerialOf({ parameters }: SurveyRow, { scheme, n }: AnyParameters): boolean {
  return parameters.scheme === scheme && parameters.n === n
}

async function publishedBy(
  { directory }: Pick<Services, 'directory'>,
  domain: string,
): Promise<readonly AnyParameters[] | undefined> {
  try {
    const { texts } = await directory.publishedRecords(domain)
    return texts.flatMap(parseOrNothing)
  } catch (error) {
    if (error instanceof HishoError) return undefined
    throw error
  }
}

function parseOrNothing(text: string): readonly AnyParameters[] {
  try {
    return [parseParameters(text) ?? []].flat()
  } catch {
    return []
  }
}

async function checkPoints(
  { ibe, bb2 }: Pick<Services, 'ibe' | 'bb2'>,
  parameters: AnyParameters,
): Promise<void> {
  if (parameters.version === '1.0') return bb2.check(parameters)
  if (await ibe.checkPublicKey(parameters.publicKey)) return
  throw new PermError('kgc/refused', `${label(parameters)}: its public key is no point`)
}

/** What is pinned when the operator agrees: for these domains what the KGC says, for others what was pinned. */
export function pinsAfter(pins: Pins, { rows }: Survey, domains: readonly string[]): Pins {
  const surveyed = domains.map((domain) => {
    const own = rows.filter((row) => row.domain === domain)
    return [domain, own.map(({ parameters }) => parameters)] as const
  })
  return new Map([...pins, ...surveyed])
}

const PIN_WORDS: Readonly<Record<PinVerdict, string>> = {
  same: 'pinned',
  other: 'CHANGED: another one is pinned',
  unknown: 'new',
}
const DNS_WORDS: Readonly<Record<SurveyRow['dns'], string>> = {
  same: 'published so',
  other: 'NOT what the domain publishes',
  unknown: 'not published',
  unanswered: 'DNS does not answer',
}

/** HEAD and rows for a table. */
export function surveyTable({ rows, gone }: Survey): {
  readonly head: readonly string[]
  readonly rows: readonly (readonly string[])[]
} {
  const cells = (domain: string, parameters: AnyParameters): string[] => [
    domain,
    label(parameters),
    fingerprintOf(parameters),
  ]
  return {
    head: ['DOMAIN', 'KEYS', 'FINGERPRINT', 'HERE', 'DNS'],
    rows: [
      ...rows.map((row) => [
        ...cells(row.domain, row.parameters),
        PIN_WORDS[row.pin],
        DNS_WORDS[row.dns],
      ]),
      ...gone.map(({ domain, parameters }) => [
        ...cells(domain, parameters),
        'pinned, the KGC has it no more',
        '',
      ]),
    ],
  }
}
