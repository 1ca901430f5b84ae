// What sealing and opening cost, against the curve operations that the formulas need, measured in the same run.
import { randomBytes } from 'node:crypto'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { systemClock } from '../lib/clock.ts'
import { hashToG1 } from '../lib/crypto/hash-to-curve.ts'
import { loadBls12381 } from '../lib/crypto/mcl.ts'
import { hashIdentity, IDENTITY_DST } from '../lib/ibe/boneh-franklin.ts'
import { createIbe, createIbePool } from '../lib/ibe/ibe.ts'
import { createMasterKeySource } from '../lib/ibe/key-source.ts'
import type { Parameters } from '../lib/ibe/parameters.ts'
import { bfIdentity, bfRecipient } from '../lib/ibe/stanza.ts'
import { medians, RUNS, WARM_UP_RUNS } from './medians.ts'

export interface IbeRow {
  readonly name: string
  readonly value: number
  readonly unit: 'ms'
  /** Of the value to the sum of operations. */
  readonly ratio?: number
  /** What ratio, or else value, may be at most. */
  readonly target?: number
}

const CACHED_RUNS = 301
const CROWD = 50
const COLD_TARGET = 1.5
const CACHED_TARGET_MS = 0.2

/** How long the event loop of this thread stood still at most. */
async function longestBlock(work: () => Promise<unknown>): Promise<number> {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  await work()
  delay.disable()
  return delay.max / 1e6
}

export async function benchIbe(): Promise<IbeRow[]> {
  const curve = await loadBls12381()
  const pool = createIbePool({ size: 1, queueLimit: 1000 })
  const ibe = createIbe({ pool, clock: systemClock })
  const masterKey = await ibe.generateMasterKey()
  const publicKey = await ibe.publicKey(masterKey)
  const parameters: Parameters<'bf'> = {
    version: '2.0',
    scheme: 'bf',
    n: 1,
    period: 'none',
    publicKey,
  }
  const fileKey = randomBytes(16)
  const identity = 'alice@b.example'
  const keys = createMasterKeySource({
    clock: systemClock,
    masterKeys: async () => [{ n: 1, period: 'none', masterKey }],
    extract: {
      bf: (key, name) => ibe.extract(key, name, IDENTITY_DST),
      cc: () => Promise.reject(new Error('not measured here')),
      bb2: () => Promise.reject(new Error('not measured here')),
    },
  })
  const reader = bfIdentity({ ibe, keys, accepts: () => true })
  const openKek = async (name: string, encapsulation: Uint8Array) => {
    const identityKey = await keys.identityKey({
      scheme: 'bf',
      domain: 'b.example',
      n: 1,
      identity: name,
    })
    return ibe.decapsulate({ identityKey: identityKey!, n: 1, identity: name, encapsulation })
  }
  const seal = (to: string) => bfRecipient({ ibe, parameters, identity: to }).wrap(fileKey)
  let fresh = 0

  const point = curve.parseG2(publicKey)!
  const prepared = curve.prepareG2(point)
  const q = hashIdentity(curve, identity)
  const scalar = curve.randomScalar()
  const key = curve.formatG1(curve.multiplyG1(q, scalar))
  const message = new TextEncoder().encode(identity)
  const cachedStanzas = await seal(identity)
  // What a cold open reads is sealed by another sender, outside of the time measured.
  const encapsulations = await Promise.all(
    Array.from({ length: RUNS + WARM_UP_RUNS }, () =>
      pool.run('encapsulate', { publicKey, identity }),
    ),
  )

  const strangers = await Promise.all(
    Array.from({ length: RUNS + WARM_UP_RUNS }, async (_, at) => {
      const identity = `new${at}@b.example`
      const { encapsulation } = await pool.run('encapsulate', { publicKey, identity })
      return { identity, encapsulation }
    }),
  )

  const ms = await medians({
    hashToG1: () => hashToG1(curve, message, 'BENCH'),
    multiplyG1: () => curve.multiplyG1(q, scalar),
    multiplyG2: () => curve.multiplyG2(curve.generatorG2, scalar),
    pairing: () => curve.pairing(q, point),
    pairingPrepared: () => curve.pairingPrepared(q, prepared),
    parseG1: () => curve.parseG1(key),
    parseG2: () => curve.parseG2(publicKey),
    sealCold: () => seal(`user${fresh++}@b.example`),
    openCold: () => openKek(identity, encapsulations.pop()!.encapsulation),
    openFirst: () => {
      const stranger = strangers.pop()!
      return openKek(stranger.identity, stranger.encapsulation)
    },
  })
  const cached = await medians(
    { seal: () => seal(identity), open: () => reader.unwrap(cachedStanzas) },
    CACHED_RUNS,
  )
  const blockedMs = await longestBlock(() =>
    Promise.all(Array.from({ length: CROWD }, (_, at) => seal(`crowd${at}@b.example`))),
  )
  ibe.close()
  await pool.close()

  const sealSum = ms.hashToG1 + ms.multiplyG1 + ms.multiplyG2 + ms.pairing
  const openSum = ms.parseG1 + ms.parseG2 + ms.pairing + ms.multiplyG2
  const firstSum = openSum + ms.hashToG1 + ms.multiplyG1
  const plain = (name: string, value: number): IbeRow => ({ name, value, unit: 'ms' })
  return [
    plain('hash to G1', ms.hashToG1),
    plain('multiplication in G1', ms.multiplyG1),
    plain('multiplication in G2', ms.multiplyG2),
    plain('pairing', ms.pairing),
    plain('pairing, prepared', ms.pairingPrepared),
    plain('point of G1 read and checked', ms.parseG1),
    plain('point of G2 read and checked', ms.parseG2),
    plain('seal: hash, G1, G2, pairing', sealSum),
    { ...plain('seal, cold', ms.sealCold), ratio: ms.sealCold / sealSum, target: COLD_TARGET },
    plain('open: read two points, pairing, G2', openSum),
    { ...plain('open, cold', ms.openCold), ratio: ms.openCold / openSum, target: COLD_TARGET },
    plain('the same with hash and G1', firstSum),
    {
      ...plain('open, cold, identity key extracted', ms.openFirst),
      ratio: ms.openFirst / firstSum,
      target: COLD_TARGET,
    },
    plain('longest block in 50 cold seals', blockedMs),
    { ...plain('seal, KEK cached', cached.seal), target: CACHED_TARGET_MS },
    { ...plain('open, KEK cached', cached.open), target: CACHED_TARGET_MS },
  ]
}

async function main(): Promise<void> {
  for (const { name, value, unit, ratio, target } of await benchIbe()) {
    const parts = [name.padEnd(36), value.toFixed(3).padStart(8), unit]
    if (ratio !== undefined) parts.push(`ratio ${ratio.toFixed(2)}`)
    if (target !== undefined) parts.push(`target ${target}`)
    console.log(parts.join(' '))
  }
}

if (require.main === module) void main()
