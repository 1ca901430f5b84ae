// What is the same for every curve of mcl.
import * as mcl from 'mcl-wasm'

/** Parses only what has the value's length: mcl reads what it needs and leaves the rest. */
export function parseValue<T extends mcl.Fr | mcl.G1 | mcl.G2 | mcl.GT>(
  value: T,
  bytes: Uint8Array,
  length: number,
): T | undefined {
  if (bytes.length !== length) return undefined
  try {
    value.deserialize(bytes)
  } catch {
    return undefined
  }
  return value
}

export const scalarOperations = {
  randomScalar(): mcl.Fr {
    const scalar = new mcl.Fr()
    do scalar.setByCSPRNG()
    while (scalar.isZero())
    return scalar
  },
  addScalars: (one: mcl.Fr, other: mcl.Fr): mcl.Fr => mcl.add(one, other),
  multiplyScalars: (one: mcl.Fr, other: mcl.Fr): mcl.Fr => mcl.mul(one, other),
}
