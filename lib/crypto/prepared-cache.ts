// The public keys lately used, with their Miller lines: a domain gets mail for many people under one key.
import type { Bls12381, PreparedG2 } from './mcl.ts'

export interface PreparedCache {
  /** Undefined for bytes that are no point of the subgroup: those are not kept. */
  get(point: Uint8Array): PreparedG2 | undefined
}

/** At most `limit` points, the least recently used released first. */
export function createPreparedCache(curve: Bls12381, limit: number): PreparedCache {
  const kept = new Map<string, PreparedG2>()
  const prepare = (point: Uint8Array): PreparedG2 | undefined => {
    const parsed = curve.parseG2(point)
    return parsed === undefined ? undefined : curve.prepareG2(parsed)
  }
  return {
    get(point) {
      const name = Buffer.from(point).toString('base64')
      const lines = kept.get(name) ?? prepare(point)
      if (lines === undefined) return undefined
      kept.delete(name)
      kept.set(name, lines)
      const [oldest] = kept
      if (kept.size > limit && oldest !== undefined) {
        kept.delete(oldest[0])
        curve.release(oldest[1])
      }
      return lines
    },
  }
}
