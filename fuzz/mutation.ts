// Inputs that are almost right: seeds, changed a little in ways that parsers are wrong about. The same number gives the same
// inputs.

export interface Random {
  /** 0 to one less than the limit. */
  below(limit: number): number
  pick<T>(from: readonly [T, ...T[]]): T
  pick<T>(from: readonly T[]): T | undefined
}

/** Mulberry32: fast, and good enough to change bytes by. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }
  const below = (limit: number): number => Math.floor(next() * limit)
  // oxlint-disable-next-line typescript/no-unsafe-return -- the overloads say what it is
  return { below, pick: <T>(from: readonly T[]): T => from[below(from.length)]! }
}

const MAX_BYTES = 4096
const NUMBERS = [
  '0',
  '-0',
  '-1',
  '1e5',
  '0x10',
  '00',
  '31557601',
  '4294967296',
  '99999999999999999999',
]
const MARKS = ['', ' ', '\t', '\n', '\r\n', '\r', '\0', ';', ':', '=', '"', '\\', '(', ')', ',']
const ODD = ['é', '\u212a', '\u{1f4e7}', '\ufeff', '\u202e', '\ud800', '%', '*.', '--', '__proto__']
const NUMERAL = /\d+/g
const CHARACTERS = [...MARKS, ...ODD].map((text) => Buffer.from(text))
const NOTHING = new Uint8Array(0)

/** One change of one seed, or up to four; one in a hundred is nothing but chance. */
export function mutate(
  seeds: readonly Uint8Array[],
  words: readonly Uint8Array[],
  random: Random,
): Uint8Array {
  const seed = random.pick(seeds) ?? NOTHING
  if (random.below(100) === 0)
    return Uint8Array.from({ length: random.below(200) }, () => random.below(256))
  let bytes = seed
  for (let left = 1 + random.below(random.below(2) === 0 ? 1 : 4); left > 0; left -= 1)
    bytes = change(bytes, seeds, words, random)
  return bytes.slice(0, MAX_BYTES)
}

function change(
  bytes: Uint8Array,
  seeds: readonly Uint8Array[],
  words: readonly Uint8Array[],
  random: Random,
): Uint8Array {
  const at = random.below(bytes.length + 1)
  const end = Math.min(bytes.length, at + 1 + random.below(random.below(4) === 0 ? 200 : 8))
  switch (random.below(9)) {
    case 0: // a bit
      return replaced(bytes, at, at + 1, [(bytes[at] ?? 0) ^ (1 << random.below(8))])
    case 1: // a byte
      return replaced(bytes, at, at + 1, [random.below(256)])
    case 2: // a piece less
      return replaced(bytes, at, end, [])
    case 3: // a piece twice, or many times
      return replaced(bytes, at, at, repeated(bytes.subarray(at, end), 1 + random.below(5)))
    case 4: // cut off
      return bytes.slice(0, at)
    case 5: // the end of another seed
      return replaced(bytes, at, bytes.length, tailOf(random.pick(seeds), random))
    case 6: // another number
      return withNumber(bytes, random)
    case 7: // a word in place of something
      return replaced(bytes, at, end, random.pick(words) ?? NOTHING)
    default: // a word more
      return replaced(
        bytes,
        at,
        at,
        random.pick(random.below(2) === 0 ? words : CHARACTERS) ?? NOTHING,
      )
  }
}

function replaced(
  bytes: Uint8Array,
  from: number,
  to: number,
  by: Uint8Array | readonly number[],
): Uint8Array {
  const result = new Uint8Array(from + by.length + Math.max(0, bytes.length - to))
  result.set(bytes.subarray(0, from))
  result.set(by, from)
  result.set(bytes.subarray(to), from + by.length)
  return result
}

function repeated(piece: Uint8Array, times: number): Uint8Array {
  return Buffer.concat(Array.from({ length: times }, () => piece))
}

function tailOf(bytes: Uint8Array | undefined, random: Random): Uint8Array {
  return bytes?.subarray(random.below(bytes.length + 1)) ?? NOTHING
}

function withNumber(bytes: Uint8Array, random: Random): Uint8Array {
  const text = Buffer.from(bytes).toString('latin1')
  const found = random.pick([...text.matchAll(NUMERAL)])
  if (!found) return bytes
  return replaced(
    bytes,
    found.index,
    found.index + found[0].length,
    Buffer.from(random.pick(NUMBERS) ?? ''),
  )
}

/** A seed with one piece repeated until it is of this size. */
export function pump(
  seeds: readonly Uint8Array[],
  words: readonly Uint8Array[],
  random: Random,
): (sizeBytes: number) => Uint8Array {
  const seed = random.pick(seeds) ?? NOTHING
  const at = random.below(seed.length + 1)
  const own = seed.subarray(at, at + 1 + random.below(24))
  const word = random.pick(random.below(2) === 0 ? words : CHARACTERS) ?? NOTHING
  const piece = Buffer.concat(random.pick([[own], [word], [own, word], [word, word, own]]))
  return (sizeBytes) => {
    const times = Math.ceil(sizeBytes / Math.max(1, piece.length))
    return replaced(seed, at, at, repeated(piece, times).subarray(0, sizeBytes))
  }
}
