// Reports on TLS: whether those that we send can be believed. RFC 8460 section 5.3.
import { inConfigOf } from '../../services/delivery-settings.ts'
import { parseTlsrptSettings } from '../../services/tlsrpt-settings.ts'
import type { Context } from '../context.ts'
import { ok, warn, type Finding } from './finding.ts'

const WHAT = 'tls reports'
/** RFC 8460 section 5.3: the signature covers both. */
const FIELDS = ['tls-report-domain', 'tls-report-submitter'] as const

/** Of a Haraka without hisho/tlsrpt: nothing. */
export function checkTlsrpt(context: Context): readonly Finding[] {
  const haraka = context.haraka()
  const plugins = haraka.list('plugins').map((line) => line.replace(/^haraka-plugin-/, ''))
  if (!plugins.includes('hisho/tlsrpt')) return []
  try {
    const ini = haraka.ini('hisho.tlsrpt.ini')
    const { report } = parseTlsrptSettings(ini, inConfigOf(haraka.config))
    if (report === undefined)
      return [
        warn(
          WHAT,
          'none are sent',
          '[report] from=tls-reports@... in hisho.tlsrpt.ini, and mode=send',
        ),
      ]
    const dkim = haraka.ownIni('dkim.ini', ['-sign.enabled'])['sign'] ?? {}
    if (!plugins.includes('dkim') || dkim['enabled'] !== true)
      return [
        warn(
          WHAT,
          'are not signed: most receivers take no notice of them',
          'haraka-plugin-dkim, with [sign] enabled=true in dkim.ini (docs/tlsrpt.md)',
        ),
      ]
    const { headers } = dkim
    const signed = (typeof headers === 'string' ? headers : '').toLowerCase().split(/[\s,;:]+/)
    const missing = FIELDS.filter((name) => !signed.includes(name))
    return [
      missing.length === 0
        ? ok(WHAT, `sent as ${report.from}${report.mode === 'dry_run' ? ' (dry run)' : ''}`)
        : warn(
            WHAT,
            `the signature does not cover ${missing.join(', ')}`,
            'headers of [sign] in dkim.ini',
          ),
    ]
  } catch {
    return [] // said of the file itself
  }
}
