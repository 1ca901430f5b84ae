// Zones below `example`, signed by ldns or not, and some of them spoilt afterwards.
import assert from 'node:assert/strict'
import { signZone } from './nsd.ts'

export interface ZoneSpec {
  readonly lines: readonly string[]
  /** `expired`: signatures of years ago. */
  readonly signed: 'signed' | 'unsigned' | 'expired'
  /** What is changed after it was signed, and into what. */
  readonly forge?: readonly [string, string]
}

export interface SignedZones {
  /** Name to text, for nsd; `example` itself is among them. */
  readonly zones: Readonly<Record<string, string>>
  /** DS records of `example`. */
  readonly anchor: string
}

const PAST = { from: '20200101000000', until: '20200201000000' }

/** Named by their label below `example`. */
export function makeSignedZones(specs: Readonly<Record<string, ZoneSpec>>): SignedZones {
  const zones: Record<string, string> = {}
  const delegations: string[] = []
  for (const [label, { lines, signed, forge }] of Object.entries(specs)) {
    const name = `${label}.example`
    const plain = zoneText(name, lines)
    delegations.push(`${label} NS ns.example.`)
    if (signed === 'unsigned') {
      zones[name] = plain
      continue
    }
    const { text, ds } = signZone(name, plain, signed === 'expired' ? PAST : undefined)
    zones[name] = forge ? text.replaceAll(...forge) : text
    if (forge) assert.notEqual(zones[name], text)
    delegations.push(ds)
  }
  const parent = signZone('example', zoneText('example', ['ns A 127.0.0.1', ...delegations]))
  return { zones: { example: parent.text, ...zones }, anchor: parent.ds }
}

function zoneText(name: string, lines: readonly string[]): string {
  const head = [
    `$ORIGIN ${name}.`,
    '$TTL 300',
    '@ SOA ns.example. hostmaster.example. 1 3600 600 86400 60',
    '@ NS ns.example.',
  ]
  return `${[...head, ...lines].join('\n')}\n`
}
