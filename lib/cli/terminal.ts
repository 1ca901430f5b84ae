// What the command prints: results to stdout, all else to stderr. Colour and progress only where a person looks on.
import type { Writable } from 'node:stream'

export interface Terminal {
  /** A line of the result. */
  line(text?: string): void
  json(value: unknown): void
  /** Bytes of the result. */
  write(bytes: Uint8Array): Promise<void>
  /** For the person: a line on stderr. */
  note(text: string): void
  /** As `note`, but only on a terminal: what work is going on. */
  progress(text: string): void
  paint(colour: Colour, text: string): string
}

export type Colour = 'green' | 'yellow' | 'red' | 'dim'

const SEQUENCES: Readonly<Record<Colour, string>> = {
  green: '\u001B[32m',
  yellow: '\u001B[33m',
  red: '\u001B[31m',
  dim: '\u001B[2m',
}

interface TerminalOptions {
  readonly stdout: Writable & { readonly isTTY?: boolean }
  readonly stderr: Writable & { readonly isTTY?: boolean }
  readonly environment: Readonly<Record<string, string | undefined>>
}

export function createTerminal({ stdout, stderr, environment }: TerminalOptions): Terminal {
  // Who reads us may go away early (`hisho doctor | head`): a failed write is answered in `write`, or is nobody's loss.
  stdout.on('error', () => {})
  stderr.on('error', () => {})
  const coloured = stdout.isTTY === true && !environment['NO_COLOR']
  const line = (text = ''): void => void stdout.write(`${text}\n`)
  const note = (text: string): void => void stderr.write(`${text}\n`)
  return {
    line,
    note,
    json: (value) => line(JSON.stringify(value, undefined, 2)),
    write: (bytes) =>
      new Promise((resolve, reject) => {
        stdout.write(bytes, (error) => (error ? reject(error) : resolve()))
      }),
    progress: (text) => {
      if (stderr.isTTY === true) note(text)
    },
    paint: (colour, text) => (coloured ? `${SEQUENCES[colour]}${text}\u001B[0m` : text),
  }
}

/** Columns under their heads, two blanks apart; the last one may be as long as it likes. */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows]
  const widths = head.map((_, at) => Math.max(...all.map((row) => (row[at] ?? '').length)))
  return all
    .map((row) =>
      row
        .map((cell, at) => (at === row.length - 1 ? cell : cell.padEnd(widths[at] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
