// Haraka's own settings: plugins and their order, connection.ini, timeouts.
import { LEAST_DATA_LINE_LENGTH, orderProblems } from '../../services/haraka-rules.ts'
import type { SharedSettings } from '../../services/settings.ts'
import { connectionSettings, GROWTH } from '../haraka-changes.ts'
import type { HarakaDirectory } from '../haraka-directory.ts'
import { fail, ok, warn, type Finding } from './finding.ts'

const PLUGINS = ['hisho/decrypt', 'hisho/encrypt']
/** Of use by themselves too. */
const OUTBOUND = ['hisho/mta_sts', 'hisho/dane']

export function checkPlugins(haraka: HarakaDirectory): Finding[] {
  const list = haraka.list('plugins').map((line) => line.replace(/^haraka-plugin-/, ''))
  const found = [...PLUGINS, ...OUTBOUND].filter((name) => list.includes(name))
  const isOutboundOnly = found.length > 0 && found.every((name) => OUTBOUND.includes(name))
  const missing = isOutboundOnly ? [] : PLUGINS.filter((name) => !list.includes(name))
  const listed =
    missing.length === 0
      ? ok('plugins', found.join(', '))
      : fail('plugins', `not in config/plugins: ${missing.join(', ')}`, 'hisho init says where')
  const problems = orderProblems(list)
  const order =
    problems.length === 0
      ? ok('plugin order', 'decrypt after what judges the message as it came, before scanners')
      : fail('plugin order', problems.join('; '), 'move the lines in config/plugins')
  return [listed, order]
}

/** hisho/well_known answers where Haraka listens for HTTP, and is silent where it does not. */
export function checkHttp(haraka: HarakaDirectory): Finding[] {
  const list = haraka.list('plugins').map((line) => line.replace(/^haraka-plugin-/, ''))
  if (!list.includes('hisho/well_known')) return []
  const listen = haraka.ownIni('http.ini')['main']?.['listen']
  return typeof listen === 'string' && listen !== ''
    ? [ok('http', `listen=${listen}`)]
    : [
        warn(
          'http',
          'no listen in http.ini: hisho/well_known answers nothing',
          'docs/well_known.md says how',
        ),
      ]
}

/** A message of 10 MB in clear is what people expect to pass; less is worth a word. */
const USUAL_BYTES = 10_000_000

export function checkConnection(haraka: HarakaDirectory): Finding[] {
  const { dataLineLength, maxBytes, cleanAuthResults } = connectionSettings(haraka)
  const clear = Math.floor(maxBytes / GROWTH)
  return [
    dataLineLength !== undefined && dataLineLength >= LEAST_DATA_LINE_LENGTH
      ? ok('line length', `data_line_length=${dataLineLength}`)
      : fail(
          'line length',
          dataLineLength === undefined
            ? 'data_line_length is not set: hisho does not start'
            : `data_line_length=${dataLineLength}: Haraka breaks lines of legal length`,
          'set data_line_length=1000000 in connection.ini [max]',
        ),
    cleanAuthResults
      ? ok('auth results', 'clean_auth_results=true')
      : warn(
          'auth results',
          'clean_auth_results=false: forged Authentication-Results stay',
          'set it to true in connection.ini [headers]',
        ),
    maxBytes === 0 || clear >= USUAL_BYTES
      ? ok(
          'message size',
          maxBytes === 0 ? 'no limit' : `up to ${megabytes(clear)} MB before encryption`,
        )
      : warn(
          'message size',
          `encrypted mail passes up to ${megabytes(clear)} MB of clear text only (it grows by about 37 %)`,
          `raise bytes=${maxBytes} in connection.ini [max]`,
        ),
  ]
}

function megabytes(bytes: number): string {
  return (bytes / 1_000_000).toFixed(1)
}

const DEFAULT_TIMEOUT_SECONDS = 30
const MARGIN_SECONDS = 5

/** A plugin that is stopped in the midst of its look-ups defers mail that could have gone. */
export function checkTimeouts(haraka: HarakaDirectory, { dns }: SharedSettings): Finding[] {
  const needed = Math.ceil((dns.timeoutMs * dns.tries * dns.servers.length) / 1000) + MARGIN_SECONDS
  const general = haraka.value('plugin_timeout')
  return PLUGINS.map((plugin) => {
    const own = haraka.value(`${plugin}.timeout`)
    const seconds = Number.parseFloat(own ?? general ?? String(DEFAULT_TIMEOUT_SECONDS))
    const file = own === undefined ? 'config/plugin_timeout' : `config/${plugin}.timeout`
    const check = `timeout of ${plugin}`
    if (seconds === 0) {
      const advice = `set it to ${Math.max(needed, DEFAULT_TIMEOUT_SECONDS)} in ${file}`
      return warn(check, '0: Haraka waits without end; hisho gives up after 30 s', advice)
    }
    if (seconds >= needed) return ok(check, `${seconds} s`)
    const found = `${seconds} s; DNS alone may take ${needed - MARGIN_SECONDS} s`
    return warn(check, found, `at least ${needed} in ${file}, or less in hisho.ini [dns]`)
  })
}
