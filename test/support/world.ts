// Two sites with a gateway each, a third domain that knows nothing of encryption, and the DNS that they all ask.
import type { MasterKeyScheme } from '../../lib/vault/contents.ts'
import type { AgeIdentityEntry } from '../../lib/vault/age-identities.ts'
import type { SharedKeyEntry } from '../../lib/vault/shared-keys.ts'
import { startDnsServer, type DnsServer, type Zone } from './dns-server.ts'
import { freePort, startHaraka, type Files, type Haraka } from './haraka.ts'
import {
  makeSite,
  PASSWORD,
  siteEnvironment,
  siteFiles,
  USER,
  type MailKeys,
  type SiteKeys,
} from './site.ts'
import { submit, type Reply } from './smtp-client.ts'
import { startSink, type SmtpSink } from './smtp-sink.ts'

export interface World {
  readonly dns: DnsServer
  readonly a: Haraka
  readonly b: Haraka
  readonly keysA: SiteKeys
  readonly keysB: SiteKeys
  /** Mailboxes behind a and b, and the mail server of c.example. */
  readonly inboxA: SmtpSink
  readonly inboxB: SmtpSink
  readonly c: SmtpSink
  /** Submits to a, as a user of a.example. */
  send(message: Uint8Array | string, to?: readonly string[], from?: string): Promise<Reply>
  close(): Promise<void>
}

/** What needs the port of the DNS server is told it. */
export type FilesFor = Files | ((dnsPort: number) => Files)

export interface WorldOptions {
  readonly host?: string
  readonly zone?: Zone
  readonly tableA?: string
  readonly tableB?: string
  readonly sendersA?: string
  /** What b.example has keys for. */
  readonly schemesB?: readonly MasterKeyScheme[]
  readonly filesA?: FilesFor
  readonly filesB?: FilesFor
  readonly pluginsA?: readonly string[]
  readonly pluginsB?: readonly string[]
  readonly lmtpB?: boolean
  /** `none`: b has no vault and no passphrase. */
  readonly vaultB?: 'none'
  /** More domains whose mail server is that of c.example. */
  readonly plainDomains?: readonly string[]
  readonly environmentA?: Readonly<Record<string, string>>
  readonly environmentB?: Readonly<Record<string, string>>
  /** What the vaults have of other sites. */
  readonly sharedA?: Readonly<Record<string, readonly SharedKeyEntry[]>>
  readonly sharedB?: Readonly<Record<string, readonly SharedKeyEntry[]>>
  readonly ageB?: Readonly<Record<string, readonly AgeIdentityEntry[]>>
  readonly mailA?: MailKeys
  readonly mailB?: MailKeys
  /** Ways to other servers on the loopback, before those of the world. */
  readonly routesA?: Readonly<Record<string, number>>
  readonly routesB?: Readonly<Record<string, number>>
  /** Ports from `freePort`, when others must know them before the gateways run. */
  readonly ports?: { readonly a: number; readonly b: number }
}

export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const { host = '127.0.0.1', lmtpB = false } = options
  const [keysA, keysB] = await Promise.all([
    makeSite('a.example', { shared: options.sharedA ?? {}, mail: options.mailA ?? {} }),
    makeSite('b.example', {
      schemes: options.schemesB ?? ['bf', 'cc'],
      shared: options.sharedB ?? {},
      age: options.ageB ?? {},
      mail: options.mailB ?? {},
    }),
  ])
  const dns = await startDnsServer({
    '_ibemailkey.a.example': { TXT: keysA.records, ttl: 300 },
    '_ibemailkey.b.example': { TXT: keysB.records, ttl: 300 },
    ...options.zone,
  })
  // Everybody is known there but `nobody`.
  const refuse = (recipient: string): string | undefined =>
    recipient.startsWith('nobody@') ? '550 no such user' : undefined
  const [inboxA, inboxB, c] = await Promise.all([
    startSink({ host }),
    startSink({ host, lmtp: lmtpB, refuse }),
    startSink({ host, refuse }),
  ])
  const portA = options.ports?.a ?? (await freePort(host))
  const portB = options.ports?.b ?? (await freePort(host))
  const filesFor = (files: FilesFor = {}): Files =>
    typeof files === 'function' ? files(dns.port) : files
  const common = { host, dnsPort: dns.port }
  const [a, b] = await Promise.all([
    startHaraka({
      host,
      port: portA,
      environment: { ...siteEnvironment(keysA), ...options.environmentA },
      files: siteFiles({
        ...common,
        domain: 'a.example',
        keys: keysA,
        mailbox: inboxA.port,
        routes: {
          'a.example': inboxA.port,
          'b.example': portB,
          'c.example': c.port,
          ...Object.fromEntries((options.plainDomains ?? []).map((domain) => [domain, c.port])),
          ...options.routesA,
        },
        ...(options.tableA === undefined ? {} : { table: options.tableA }),
        ...(options.sendersA === undefined ? {} : { senders: options.sendersA }),
        ...(options.pluginsA ? { plugins: options.pluginsA } : {}),
        files: filesFor(options.filesA),
      }),
    }),
    startHaraka({
      host,
      port: portB,
      environment: {
        ...(options.vaultB === 'none' ? {} : siteEnvironment(keysB)),
        ...options.environmentB,
      },
      files: siteFiles({
        ...common,
        domain: 'b.example',
        keys: options.vaultB === 'none' ? { ...keysB, files: {} } : keysB,
        mailbox: inboxB.port,
        routes: { 'a.example': portA, 'c.example': c.port, ...options.routesB },
        ...(options.tableB === undefined ? {} : { table: options.tableB }),
        ...(options.pluginsB ? { plugins: options.pluginsB } : {}),
        files: {
          ...(lmtpB ? { 'config/lmtp.ini': `host=${host}\nport=${inboxB.port}\n` } : {}),
          ...filesFor(options.filesB),
        },
      }),
    }),
  ])
  return {
    dns,
    a,
    b,
    keysA,
    keysB,
    inboxA,
    inboxB,
    c,
    send: (message, to = ['bob@b.example'], from = 'alice@a.example') =>
      submit({
        host,
        port: a.port,
        from,
        to,
        message: typeof message === 'string' ? Buffer.from(message, 'latin1') : message,
        user: USER,
        password: PASSWORD,
      }),
    close: async () => {
      await Promise.all([a.stop(), b.stop()])
      await Promise.all([inboxA.close(), inboxB.close(), c.close(), dns.close()])
    },
  }
}

let serial = 0

/** A small message of Alice's; `secret` stands in subject and body. */
export function letter(secret: string, fields: Readonly<Record<string, string>> = {}): string {
  const header = {
    From: 'Alice <alice@a.example>',
    To: 'Bob <bob@b.example>',
    Subject: `about ${secret}`,
    Date: 'Sun, 22 Nov 2026 05:00:00 +0000',
    'Message-ID': `<${++serial}@a.example>`,
    ...fields,
  }
  const lines = Object.entries(header).map(([name, value]) => `${name}: ${value}`)
  return `${lines.join('\r\n')}\r\n\r\nHello, here is ${secret}.\r\n.a line with a dot\r\nbye\r\n`
}
