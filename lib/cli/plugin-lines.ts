// Where the lines of hisho belong in config/plugins. The order there is the order of work in Haraka's data_post.
import { AFTER_DECRYPT, BEFORE_DECRYPT } from '../services/haraka-rules.ts'

export interface Placement {
  readonly line: string
  /** The line it goes before; undefined: to the end. */
  readonly before: string | undefined
}

export interface Placed {
  readonly text: string
  /** What was added, in order; nothing if all stands there already. */
  readonly added: readonly Placement[]
}

/**
 * `hisho/decrypt` after all that judges a message as it came, before content scanners and queue plugins; `hisho/verify`
 * behind it; `hisho/sign`, `hisho/encrypt`, `hisho/mta_sts` and `hisho/tlsrpt` before the queue plugins. A line that stands there stays where it is.
 */
export function placePlugins(text: string): Placed {
  const lineEnd = text.includes('\r\n') ? '\r\n' : '\n'
  const lines = text.split(/\r?\n/)
  const added: Placement[] = []
  const insert = (line: string, wanted: number): void => {
    const at = wanted === -1 ? endOf(lines) : wanted
    added.push({ line, before: wanted === -1 ? undefined : nameOf(lines[at] ?? '') })
    lines.splice(at, 0, line)
  }
  if (!has(lines, 'hisho/decrypt')) {
    const judges = lines.findLastIndex((line) => BEFORE_DECRYPT.includes(nameOf(line) ?? ''))
    insert(
      'hisho/decrypt',
      lines.findIndex(
        (line, at) => at > judges && (isScanner(line) || isQueue(line) || isOurs(line)),
      ),
    )
  }
  const behind = (line: string): number => lines.findIndex((other) => nameOf(other) === line) + 1
  if (!has(lines, 'hisho/verify')) insert('hisho/verify', within(lines, behind('hisho/decrypt')))
  for (const line of ['hisho/sign', 'hisho/encrypt', 'hisho/mta_sts', 'hisho/tlsrpt']) {
    if (has(lines, line)) continue
    const from = behind('hisho/verify')
    insert(
      line,
      lines.findIndex((other, at) => at >= from && isQueue(other)),
    )
  }
  return { text: lines.join(lineEnd), added }
}

/** -1 for a place behind the last line that says something. */
function within(lines: readonly string[], at: number): number {
  return at < endOf(lines) ? at : -1
}

/** Behind the last line that says something. */
function endOf(lines: readonly string[]): number {
  return lines.findLastIndex((line) => line.trim() !== '') + 1
}

function has(lines: readonly string[], name: string): boolean {
  return lines.some((line) => nameOf(line) === name)
}

/** The plugin that a line names; undefined for comments and blank lines. */
function nameOf(line: string): string | undefined {
  const name = line.trim()
  return name === '' || /^[#;]/.test(name) ? undefined : name.replace(/^haraka-plugin-/, '')
}

const isScanner = (line: string): boolean => AFTER_DECRYPT.includes(nameOf(line) ?? '')
const isQueue = (line: string): boolean => /^queue[/-]/.test(nameOf(line) ?? '')
const isOurs = (line: string): boolean => nameOf(line) === 'hisho/encrypt'
