// YAML files that people edit: an error names file, line and column, an edit by us keeps comments and order.
// The one importer of npm yaml.
import { LineCounter, parseDocument, stringify, type Document } from 'yaml'
import { PermError, type ErrorCode } from '../errors.ts'

export interface YamlFile {
  /** Plain JavaScript values. Null for an empty file. */
  readonly data: unknown
  /** An error that points at the node on that path, or at the nearest one above it that exists. */
  errorAt(path: readonly (string | number)[], reason: string): PermError
  /** The text with one value set (undefined: removed); comments elsewhere stay as they are. */
  withValue(path: readonly (string | number)[], value: unknown): string
}

/**
 * `file` is for messages only. PermError of the given code if the text is not YAML; of a `secret` source it quotes
 * nothing.
 */
export function parseYaml(
  source: string,
  file: string,
  code: ErrorCode,
  kind: 'open' | 'secret' = 'open',
): YamlFile {
  const lines = new LineCounter()
  const fail = (offset: number, reason: string): PermError =>
    new PermError(code, `${file}:${position(lines, offset)}: ${reason}`)
  const document = attempt(
    () => parseDocument(source, { ...STRICT, lineCounter: lines }),
    () => fail(0, 'nested too deeply'),
  )
  const first = document.errors[0]
  if (first) throw fail(first.pos[0], kind === 'secret' ? first.code : first.message)
  return {
    // An alias to nothing, or a few aliases that stand for millions of values.
    data: attempt(
      () => document.toJS({ maxAliasCount: 20 }) as unknown,
      () => fail(0, 'an alias that stands for nothing, or for too much'),
    ),
    errorAt: (path, reason) =>
      fail(offsetOf(document, path), [path.join('.'), reason].filter(Boolean).join(': ')),
    withValue: (path, value) => {
      const copy = parseDocument(source, STRICT)
      if (value === undefined) copy.deleteIn(path)
      else {
        fillEmpty(copy, path)
        // A plain value is set into the node that is there, which has the comment on its line.
        const isPlain = typeof value !== 'object' || value === null
        copy.setIn(path, isPlain ? value : copy.createNode(value))
      }
      return copy.toString({ lineWidth: 0 })
    },
  }
}

/** `merge` and custom tags stay off. */
const STRICT = { strict: true, uniqueKeys: true, prettyErrors: false, logLevel: 'error' } as const

/** The library throws plain errors (ReferenceError, RangeError) for texts that are too much for it. */
function attempt<T>(work: () => T, failure: () => PermError): T {
  try {
    return work()
  } catch {
    throw failure()
  }
}

/** A key with nothing behind it (`domains:`) holds null, in which nothing can be set. */
function fillEmpty(document: Document, path: readonly (string | number)[]): void {
  for (let length = 1; length < path.length; length++) {
    const part = path.slice(0, length)
    if (document.hasIn(part) && document.getIn(part) === null)
      document.setIn(part, document.createNode({}))
  }
}

function position(lines: LineCounter, offset: number): string {
  const { line, col } = lines.linePos(offset)
  return `${line}:${col}`
}

function offsetOf(document: Document, path: readonly (string | number)[]): number {
  for (let length = path.length; length > 0; length--) {
    const node: unknown = document.getIn(path.slice(0, length), true)
    if (typeof node === 'object' && node && 'range' in node && Array.isArray(node.range)) {
      return Number(node.range[0])
    }
  }
  return 0
}

export function formatYaml(data: unknown): string {
  return stringify(data, { lineWidth: 0 })
}
