// An alert as a mail to the operator, through Haraka's own queue.
import { randomUUID } from 'node:crypto'
import { TempError } from '../errors.ts'
import type { AlertSettings } from '../services/tlsrpt-receive-settings.ts'
import type { Alert } from '../tlsrpt/alerts.ts'
import { OK, type Plugin } from './api.ts'
import { outboundOf } from './outbound.ts'

/** Nothing is sent where the settings name nobody. TempError haraka/queue. */
export async function sendAlert(
  plugin: Plugin,
  { to, from }: AlertSettings,
  { subject, text }: Alert,
): Promise<void> {
  if (to === '') return
  const host = String(plugin.config.get('me')).trim()
  const sender = from === '' ? `postmaster@${host}` : from
  const message = [
    `From: <${sender}>`,
    `To: <${to}>`,
    `Subject: [hisho] ${subject}`,
    `Date: ${new Date().toUTCString().replace('GMT', '+0000')}`,
    `Message-ID: <${randomUUID()}@${host}>`,
    'Auto-Submitted: auto-generated', // RFC 3834 section 5
    // RFC 8689 section 4.1: that TLS fails somewhere must not keep this mail.
    'TLS-Required: No',
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
    '',
    text,
  ].join('\n')
  const { outbound } = outboundOf(plugin)
  await new Promise<void>((resolve, reject) => {
    // An alert is no answer to anything: nobody is told where it cannot be delivered.
    outbound.send_email(
      '<>',
      `<${to}>`,
      message,
      (code, reason) => {
        if (code === OK) return resolve()
        reject(new TempError('haraka/queue', `an alert cannot be queued: ${String(reason)}`))
      },
      { notes: { skip_plugins: [] } },
    )
  })
}
