// What works with other people's programs: one table, which the tests hold true and docs/interop.md shows.
import { AGE_ROWS } from './interop-age.ts'
import { OPENPGP_ROWS } from './interop-openpgp.ts'
import { SMIME_ROWS } from './interop-smime.ts'
import { SMIME_SIGNED_ROWS } from './interop-smime-signed.ts'

export interface InteropRow {
  readonly scheme: string
  readonly peer: string
  /** With which the row was found true. */
  readonly version: string
  /** The kind of key, or of cipher. */
  readonly key: string
  readonly direction: 'to the peer' | 'from the peer'
  readonly feature: string
  /** `yes`, or why not. */
  readonly result: string
}

/** Each scheme's rows stand in a file of their own: a line here for each. */
export const INTEROP_ROWS: readonly InteropRow[] = [
  ...OPENPGP_ROWS,
  ...SMIME_ROWS,
  ...SMIME_SIGNED_ROWS,
  ...AGE_ROWS,
]

/** Those that say the same of several keys stand in one line. */
function formatRows(rows: readonly InteropRow[]): string {
  const lines = new Map<string, string[]>()
  for (const { peer, version, key, direction, feature, result } of rows) {
    const same = JSON.stringify([`${peer} ${version}`, direction, feature, result])
    lines.set(same, [...(lines.get(same) ?? []), key])
  }
  return [
    '| peer | direction | what | keys | result |',
    '| --- | --- | --- | --- | --- |',
    ...[...lines].map(([same, keys]) => {
      const [peer, direction, feature, result] = JSON.parse(same) as string[]
      return `| ${peer} | ${direction} | ${feature} | ${keys.join(', ')} | ${result} |`
    }),
  ].join('\n')
}

/** The page with each scheme's table between its marks. A scheme without marks gets none. */
export function withTables(page: string, rows: readonly InteropRow[]): string {
  const schemes = new Set(rows.map(({ scheme }) => scheme))
  return [...schemes].reduce((text, scheme) => {
    const [begin, end] = [`<!-- ${scheme} -->`, `<!-- /${scheme} -->`]
    const [from, to] = [text.indexOf(begin), text.indexOf(end)]
    if (from === -1 || to === -1) throw new Error(`docs/interop.md has no marks for ${scheme}`)
    const table = formatRows(rows.filter((row) => row.scheme === scheme))
    return `${text.slice(0, from)}${begin}\n${table}\n${text.slice(to)}`
  }, page)
}
