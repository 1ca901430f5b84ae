// hisho.kgc.yaml: the public keys that a gateway takes for its KGC's, as the records that DNS has of them. No secrets.
import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { writeAtomically } from '../../disk/atomic-file.ts'
import { HishoError, PermError, TempError } from '../../errors.ts'
import { formatYaml, parseYaml } from '../../yaml/document.ts'
import { formatLegacy, parametersOf, publicKeyOf } from '../bb2/parameters.ts'
import type { KeyScheme } from '../key-source.ts'
import { normalizeDomain } from '../mail-domain.ts'
import { formatParameters, nameOf, parseParameters, type AnyParameters } from '../parameters.ts'
import type { PublicGeneration } from './protocol.ts'

/** By domain. */
export type Pins = ReadonlyMap<string, readonly AnyParameters[]>

export type PinVerdict =
  | 'same'
  /** Another public key, or period, has this serial. */
  | 'other'
  | 'unknown'

/** A generation of a KGC as its record. */
export function recordOf(scheme: KeyScheme, generation: PublicGeneration): AnyParameters {
  const { n, period, publicKey } = generation
  if (scheme === 'bb2') return parametersOf(n, publicKey)
  return { version: '2.0', scheme, n, period, publicKey }
}

export function judgePin(known: readonly AnyParameters[], wanted: AnyParameters): PinVerdict {
  const rivals = known.filter(({ scheme, n }) => scheme === wanted.scheme && n === wanted.n)
  if (rivals.length === 0) return 'unknown'
  return rivals.every((one) => pinName(one) === pinName(wanted)) ? 'same' : 'other'
}

/** Without the end of its use, which is the senders' affair. */
function pinName(parameters: AnyParameters): string {
  if (parameters.version === '1.0') return nameOf(parameters)
  const { notAfterSeconds: _, ...lasting } = parameters
  return nameOf(lasting)
}

/** What two operators can read out to each other. */
export function fingerprintOf(parameters: AnyParameters): string {
  const publicKey = parameters.version === '1.0' ? publicKeyOf(parameters) : parameters.publicKey
  const hex = createHash('sha256').update(publicKey).digest('hex').slice(0, 32)
  return hex.replaceAll(/(.{4})(?!$)/g, '$1-')
}

/** PermError kgc/refused with line and column. */
export function parsePins(text: string, file: string): Pins {
  const yaml = parseYaml(text, file, 'kgc/refused')
  const { version, domains }: Partial<Record<string, unknown>> = Object(yaml.data)
  if (version !== 1) throw yaml.errorAt(['version'], 'must be 1')
  return new Map(
    Object.entries(Object(domains ?? {})).map(([domain, list]) => {
      if (!isDomain(domain)) throw yaml.errorAt(['domains', domain], 'is no domain')
      if (!Array.isArray(list)) throw yaml.errorAt(['domains', domain], 'must be a list')
      const records = list.map((record: unknown, at): AnyParameters => {
        const parameters = parseRecord(record)
        if (parameters) return parameters
        throw yaml.errorAt(['domains', domain, at], 'is no record')
      })
      return [domain, records]
    }),
  )
}

function parseRecord(text: unknown): AnyParameters | undefined {
  try {
    return typeof text === 'string' ? parseParameters(text) : undefined
  } catch (error) {
    if (error instanceof HishoError) return undefined
    throw error
  }
}

function isDomain(text: string): boolean {
  try {
    return normalizeDomain(text) === text
  } catch {
    return false
  }
}

const HEAD = `# The public keys that this gateway takes for those of its KGC. Written by \`hisho init --kgc\` and \`hisho kgc trust\`;
# a new generation that the domain publishes in DNS is added by itself. Nothing here is secret.
`

function formatPins(pins: Pins): string {
  const domains = Object.fromEntries(
    [...pins].map(([domain, records]) => [domain, records.map(textOf)]),
  )
  return HEAD + formatYaml({ version: 1, domains })
}

function textOf(parameters: AnyParameters): string {
  return parameters.version === '1.0' ? formatLegacy(parameters) : formatParameters(parameters)
}

export interface PinFile {
  /** As the file is now; none if there is no file. TempError kgc/refused while it cannot be used. */
  read(): Promise<Pins>
  /** As a whole, or not at all. */
  write(pins: Pins): Promise<void>
}

export function openPinFile(file: string): PinFile {
  let held: { readonly version: string; readonly pins: Pins } | undefined
  return {
    async read() {
      const version = await versionOf(file)
      if (held?.version === version) return held.pins
      try {
        const pins = version === 'none' ? new Map() : parsePins(await readFile(file, 'utf8'), file)
        held = { version, pins }
        return pins
      } catch (cause) {
        const reason = cause instanceof PermError ? cause.message : `${file}: cannot be read`
        throw new TempError('kgc/refused', reason, { cause })
      }
    },
    async write(pins) {
      const text = new TextEncoder().encode(formatPins(pins))
      await writeAtomically(file, text, { mode: 0o644, keepMode: true })
    },
  }
}

async function versionOf(file: string): Promise<string> {
  const found = await stat(file).catch(() => undefined)
  return found ? `${found.ino}:${found.mtimeMs}:${found.size}` : 'none'
}
