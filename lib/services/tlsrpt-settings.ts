// config/hisho.tlsrpt.ini: what is counted of TLS, and which reports are sent of it.
import { domainToASCII } from 'node:url'
import { reader, type Ini, type Reader } from './ini-reader.ts'
import { authorities, type InConfig } from './source-settings.ts'

export interface TlsrptSettings {
  readonly enabled: boolean
  readonly keepDays: number
  readonly flushMs: number
  /** undefined: none are made. */
  readonly report: ReportSettings | undefined
}

export interface ReportSettings {
  readonly mode: 'dry_run' | 'send'
  /** Addresses. */
  readonly from: string
  readonly contact: string
  readonly organization: string
  readonly maxDelayMs: number
  readonly onlyFailures: boolean
  readonly redirectTo: string | undefined
  readonly suppressed: ReadonlySet<string>
  readonly maxBytes: number
  readonly https: {
    readonly verify: boolean
    readonly ca?: string
    readonly timeoutMs: number
    readonly allowPrivate: boolean
  }
}

const MODES = ['off', 'dry_run', 'send'] as const

export function parseTlsrptSettings(ini: Ini, inConfig: InConfig): TlsrptSettings {
  const read = reader('hisho.tlsrpt.ini', ini)
  return {
    enabled: read.boolean('main', 'enabled'),
    keepDays: read.number('main', 'keep_days', 2),
    flushMs: read.number('main', 'flush_ms', 1),
    report: parseReport(read, inConfig),
  }
}

function parseReport(read: Reader, inConfig: InConfig): ReportSettings | undefined {
  const mode = MODES.find((one) => one === read.text('report', 'mode'))
  if (mode === undefined) throw read.error('report', 'mode', 'must be off, dry_run or send')
  const from = address(read, 'from')
  const contact = address(read, 'contact') ?? from
  const redirectTo = address(read, 'redirect_to')
  const common = {
    maxDelayMs: read.number('report', 'max_delay', 0) * 60_000,
    onlyFailures: read.boolean('report', 'only_failures'),
    redirectTo,
    suppressed: new Set(read.list('report', 'suppress').map((text) => text.toLowerCase())),
    maxBytes: read.number('report', 'max_kb', 1) * 1024,
    https: {
      verify: read.boolean('https', 'verify'),
      timeoutMs: read.number('https', 'timeout_ms', 1),
      allowPrivate: read.boolean('https', 'allow_private'),
      ...authorities(read, inConfig, 'https', 'ca_file'),
    },
  }
  if (mode === 'off' || from === undefined || contact === undefined) return undefined
  const domain = from.slice(from.lastIndexOf('@') + 1)
  // RFC 8460 section 5.3: the submitter is the domain of the contact, and it is his signature that counts.
  if (!contact.endsWith(`@${domain}`))
    throw read.error('report', 'contact', `must be of the domain of \`from\`, ${domain}`)
  const organization = read.text('report', 'organization') || domain
  return { mode, from, contact, organization, ...common }
}

/** undefined: none is given. */
function address(read: Reader, key: string): string | undefined {
  const text = read.text('report', key)
  if (text === '') return undefined
  // RFC 5321 section 4.1.2: a dot-string, and no more.
  const [, local = '', domain = ''] = /^([\w.!#$%&'*+/=?^`{|}~-]+)@([^@\s]+)$/.exec(text) ?? []
  const ascii = domainToASCII(domain)
  if (local === '' || !ascii.includes('.')) throw read.error('report', key, 'must be an address')
  return `${local}@${ascii}`
}
