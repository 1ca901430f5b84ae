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

/** `file` is for messages only. PermError of the given code if the text is not YAML. */
export function parseYaml(text: string, file: string, code: ErrorCode): YamlFile {
  const lines = new LineCounter()
  // `merge` and custom tags stay off; an alias bomb is stopped by maxAliasCount.
  const document = parseDocument(text, {
    lineCounter: lines,
    strict: true,
    uniqueKeys: true,
    prettyErrors: false,
  })
  const first = document.errors[0]
  if (first) throw new PermError(code, `${file}:${position(lines, first.pos[0])}: ${first.message}`)
  return {
    data: document.toJS({ maxAliasCount: 20 }) as unknown,
    errorAt: (path, reason) =>
      new PermError(
        code,
        `${file}:${position(lines, offsetOf(document, path))}: ${[path.join('.'), reason].filter(Boolean).join(': ')}`,
      ),
    withValue: (path, value) => {
      const copy = parseDocument(text)
      if (value === undefined) copy.deleteIn(path)
      else copy.setIn(path, copy.createNode(value))
      return copy.toString({ lineWidth: 0 })
    },
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
