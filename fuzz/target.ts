// What is fuzzed: a parser of what others send, with inputs that it takes.
import { isDeepStrictEqual } from 'node:util'
import { HishoError } from '../lib/errors.ts'

export type Verdict = 'taken' | 'refused'

export interface Target {
  readonly name: string
  readonly seeds: readonly Uint8Array[]
  /** What means something to it. */
  readonly words: readonly Uint8Array[]
  /** Throws what the parser should not have thrown, and a Mismatch. */
  run(input: Uint8Array): Verdict | Promise<Verdict>
}

export class Mismatch extends Error {}

interface ParserOf<T> {
  readonly parse: (text: string) => T
  /** undefined: `parse` has said by its value that it is none. */
  readonly format?: (value: T) => string | undefined
  readonly seeds: readonly string[]
  readonly words: readonly string[]
}

/** What is written from what was read must be read as the same. */
export function textTarget<T>(name: string, { parse, format, seeds, words }: ParserOf<T>): Target {
  return {
    name,
    words: words.map((word) => Buffer.from(word)),
    seeds: seeds.map((seed) => Buffer.from(seed)),
    run(input) {
      const text = Buffer.from(input).toString('utf8')
      let value: T
      try {
        value = parse(text)
      } catch (error) {
        return refusedBy(error)
      }
      const written = format?.(value)
      if (written === undefined)
        return format === undefined && value !== undefined ? 'taken' : 'refused'
      checkSame(value, parse(written))
      return 'taken'
    },
  }
}

/** Anything else than our own refusal is thrown on. */
export function refusedBy(error: unknown): 'refused' {
  if (error instanceof HishoError) return 'refused'
  throw error
}

export function checkSame(value: unknown, again: unknown): void {
  if (!isDeepStrictEqual(value, again))
    throw new Mismatch('read, written and read again is another')
}

export async function collect(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = []
  for await (const piece of pieces) all.push(piece)
  return Buffer.concat(all)
}
