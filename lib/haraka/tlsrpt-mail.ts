// Reports on TLS into Haraka's own outbound queue: RFC 8460 section 5.3. haraka-plugin-dkim signs there; hisho neither encrypts
// nor signs them, and they are not held back by what they report.
import cluster from 'node:cluster'
import type { QueueMail } from '../tlsrpt/send.ts'
import type { TlsrptSettings } from '../services/tlsrpt-settings.ts'
import { OK, type Notes, type Plugin } from './api.ts'
import { addDeliveryNote } from './delivery-note.ts'
import { describe } from './hook.ts'
import { servicesOf } from './process.ts'

interface MailingOutbound {
  send_email(
    from: string,
    to: string,
    contents: string,
    done: (code: number, message: unknown) => void,
    options: { readonly notes: object },
  ): void
}

interface TransactionModule {
  createTransaction(uuid: null, settings: unknown): { readonly notes: Notes }
}

/** Resolves once it is in the queue, on the disk. */
function mailQueueOf(plugin: Plugin): QueueMail {
  const outbound = plugin.haraka_require('outbound') as MailingOutbound
  const transactions = plugin.haraka_require('transaction') as TransactionModule
  return (from, to, text) =>
    new Promise((resolve, reject) => {
      const done = (code: number, message: unknown): void =>
        code === OK ? resolve() : reject(new Error(`not queued: ${String(message)}`))
      // Notes of Haraka's own kind: send_email takes those of others as they are.
      const { notes } = transactions.createTransaction(null, plugin.config.get('smtp.ini'))
      addDeliveryNote(notes, { isTlsReport: true, tlsRequiredNo: true })
      outbound.send_email(`<${from}>`, `<${to}>`, text, done, { notes })
    })
}

/** In what delivers: the workers, or the only process when smtp.ini has nodes=0. */
export function startReports(
  plugin: Plugin,
  settings: TlsrptSettings,
  server: { readonly cluster?: unknown },
): void {
  if (server.cluster && !cluster.isWorker) return
  const { report } = settings
  if (report === undefined)
    plugin.lognotice(
      'hisho.tlsrpt.ini: no reports are sent ([report] mode is off, or has no `from`)',
    )
  servicesOf(plugin)
    .tlsrpt.start(settings, mailQueueOf(plugin))
    .catch((error: unknown) => plugin.logerror(`TLSRPT: no reports: ${describe(error)}`))
}
