// config/hisho.tlsrpt.ini, [receive] and [alerts], checked.
import { REPORT_LIMITS, type ReportLimits } from '../tlsrpt/parse-report.ts'
import { reader, type Ini } from './ini-reader.ts'

export interface ReceiveSettings {
  /** In lower case. */
  readonly addresses: ReadonlySet<string>
  readonly afterwards: 'consume' | 'deliver'
  readonly onUnreadable: 'deliver' | 'reject'
  readonly proof: 'none' | 'dkim'
  /** Empty: reports are not taken by HTTP. */
  readonly path: string
  /** The address of the client is the last of X-Forwarded-For. */
  readonly clientAddress: 'connection' | 'forwarded'
  readonly requestsPerMinute: number
  readonly keepDays: number
  readonly maxReports: number
  readonly maxPerSender: number
  readonly limits: ReportLimits
}

export interface AlertSettings {
  /** Empty: alerts are in the log alone. */
  readonly to: string
  /** Empty: postmaster at the name of this Haraka. */
  readonly from: string
}

export interface ReceivingSettings {
  readonly receive: ReceiveSettings
  readonly alerts: AlertSettings
}

const FILE = 'hisho.tlsrpt.ini'

export function parseReceivingSettings(ini: Ini): ReceivingSettings {
  return { receive: parseReceiveSettings(ini), alerts: parseAlertSettings(ini) }
}

function parseReceiveSettings(ini: Ini): ReceiveSettings {
  const read = reader(FILE, ini)
  const choice = <T extends string>(key: string, words: readonly T[]): T => {
    const found = words.find((word) => word === read.text('receive', key))
    if (found === undefined) throw read.error('receive', key, `must be ${words.join(' or ')}`)
    return found
  }
  const path = read.text('receive', 'http_path')
  if (path !== '' && !/^\/[\w./~-]*$/.test(path))
    throw read.error('receive', 'http_path', 'must be a path such as /tlsrpt')
  const addresses = read.list('receive', 'addresses').map((address) => address.toLowerCase())
  for (const address of addresses)
    if (!/^[^@\s]+@[^@\s]+$/.test(address))
      throw read.error('receive', 'addresses', `${address} is no address`)
  return {
    addresses: new Set(addresses),
    afterwards: choice('afterwards', ['consume', 'deliver']),
    onUnreadable: choice('on_unreadable', ['deliver', 'reject']),
    proof: read.boolean('receive', 'require_dkim') ? 'dkim' : 'none',
    path,
    clientAddress: read.boolean('receive', 'trust_forwarded_for') ? 'forwarded' : 'connection',
    requestsPerMinute: read.number('receive', 'requests_per_minute', 1),
    keepDays: read.number('receive', 'keep_days', 1),
    maxReports: read.number('receive', 'max_reports', 1),
    maxPerSender: read.number('receive', 'max_per_sender', 1),
    limits: {
      sizeBytes: read.number('receive', 'max_bytes', 1024),
      inflatedBytes: REPORT_LIMITS.inflatedBytes,
    },
  }
}

function parseAlertSettings(ini: Ini): AlertSettings {
  const read = reader(FILE, ini)
  return { to: read.text('alerts', 'alert_to'), from: read.text('alerts', 'alert_from') }
}
