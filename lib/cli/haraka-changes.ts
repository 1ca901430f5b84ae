// What must change in Haraka's own settings for hisho to work: found, said in words, and made only when asked to.
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LEAST_DATA_LINE_LENGTH, orderProblems } from '../services/haraka-rules.ts'
import { writeAtomically } from '../disk/atomic-file.ts'
import type { HarakaDirectory } from './haraka-directory.ts'
import { withIniValue } from './ini-text.ts'
import { placePlugins } from './plugin-lines.ts'

const DATA_LINE_LENGTH = 1_000_000
/** Base64 in lines of 76 columns with CRLF, of what age adds 16 octets to every 64 KiB. */
export const GROWTH = 1.37

export interface ConnectionSettings {
  /** Haraka has no defaults besides the file; hisho wants it set. */
  readonly dataLineLength: number | undefined
  /** 0: no limit. */
  readonly maxBytes: number
  readonly cleanAuthResults: boolean
}

export function connectionSettings(haraka: HarakaDirectory): ConnectionSettings {
  const ini = haraka.ownIni('connection.ini', ['+headers.clean_auth_results'])
  const number = (key: string): number | undefined => {
    const value = Number(ini['max']?.[key] ?? Number.NaN)
    return Number.isFinite(value) ? value : undefined
  }
  return {
    dataLineLength: number('data_line_length'),
    maxBytes: number('bytes') ?? 0,
    cleanAuthResults: ini['headers']?.['clean_auth_results'] !== false,
  }
}

export interface HarakaChange {
  readonly file: string
  /** For the operator, one sentence or a line to add. */
  readonly text: string
}

export interface HarakaChanges {
  readonly changes: readonly HarakaChange[]
  /** What no program should change by itself. */
  readonly hints: readonly string[]
  /** Makes the changes; nothing else in the files moves. */
  apply(): Promise<void>
}

export async function findChanges(haraka: HarakaDirectory): Promise<HarakaChanges> {
  const pluginsFile = join(haraka.config, 'plugins')
  const connectionFile = join(haraka.config, 'connection.ini')
  const plugins = placePlugins(await textOf(pluginsFile))
  const settings = connectionSettings(haraka)
  const values = connectionValues(settings)
  return {
    changes: [
      ...plugins.added.map(({ line, before }) => ({
        file: 'config/plugins',
        text: before ? `add the line ${line} before ${before}` : `add the line ${line} at the end`,
      })),
      ...values.map(({ section, key, value, why }) => ({
        file: 'config/connection.ini',
        text: `set ${key}=${value} in [${section}]: ${why}`,
      })),
    ],
    hints: [
      ...orderProblems(namesIn(plugins.text)),
      ...sizeHint(settings),
      ...missingHint(pluginsFile),
      ...watchingHints(haraka, namesIn(plugins.text)),
    ],
    apply: async () => {
      // A list of ours alone would be a Haraka that takes no mail: it is not begun here.
      if (plugins.added.length > 0 && existsSync(pluginsFile))
        await write(pluginsFile, plugins.text)
      if (values.length === 0) return
      const text = values.reduce(
        (edited, { section, key, value }) => withIniValue(edited, section, key, value),
        await textOf(connectionFile),
      )
      await write(connectionFile, text)
    },
  }
}

function connectionValues({ dataLineLength, cleanAuthResults }: ConnectionSettings) {
  const values: { section: string; key: string; value: string; why: string }[] = []
  if (dataLineLength === undefined || dataLineLength < LEAST_DATA_LINE_LENGTH) {
    const why = `now ${dataLineLength ?? 'not set'}; Haraka breaks longer lines, and with them signatures and ciphertext`
    values.push({ section: 'max', key: 'data_line_length', value: String(DATA_LINE_LENGTH), why })
  }
  if (!cleanAuthResults) {
    const why = 'else Authentication-Results that others wrote in our name stay'
    values.push({ section: 'headers', key: 'clean_auth_results', value: 'true', why })
  }
  return values
}

function sizeHint({ maxBytes }: ConnectionSettings): string[] {
  if (maxBytes === 0) return []
  const clear = Math.floor(maxBytes / GROWTH / 1_000_000)
  return [
    `encryption makes a message about 37 % larger: [max] bytes=${maxBytes} in connection.ini lets encrypted mail in up to ${clear} MB of clear text`,
  ]
}

function missingHint(pluginsFile: string): string[] {
  return existsSync(pluginsFile)
    ? []
    : [
        "config/plugins does not exist: `haraka -i DIR` makes it, with all that Haraka's own mail needs",
      ]
}

/** What happens to TLS, and all else, can be known. */
function watchingHints(haraka: HarakaDirectory, plugins: readonly string[]): string[] {
  const hints: string[] = []
  if (!haraka.ini('hisho.tlsrpt.ini')['report']?.['from'])
    hints.push(
      'hisho/tlsrpt counts what happens to TLS (`hisho tlsrpt show`); other domains get reports of it once [report] in hisho.tlsrpt.ini has from=, an address of yours (docs/tlsrpt.md)',
    )
  if (!plugins.some((line) => /^(?:haraka-plugin-)?hisho\/metrics$/.test(line)))
    hints.push(
      'for Prometheus: the line hisho/metrics in config/plugins, wherever you like, and listen=127.0.0.1:8080 in http.ini (docs/metrics.md)',
    )
  return hints
}

function namesIn(text: string): string[] {
  return text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/^[#;]/.test(line))
}

async function textOf(file: string): Promise<string> {
  return existsSync(file) ? readFile(file, 'utf8') : ''
}

async function write(file: string, text: string): Promise<void> {
  await writeAtomically(file, new TextEncoder().encode(text), { mode: 0o644, keepMode: true })
}
