// A Haraka that delivers by MX records to scripted mail servers on the loopback, each on an address of its own.
import { startMta, type SmtpMta } from './smtp-mta.ts'
import { makeAuthority, type Authority, type Credentials } from './authority.ts'
import { startDnsServer, type DnsServer, type Zone } from './dns-server.ts'
import { freePort, startHaraka, type Files, type Haraka } from './haraka.ts'
import { startPolicyHosts, type PolicyHosts } from './policy-hosts.ts'
import { PASSWORD, USER } from './site.ts'
import { submit, type Reply, type Submission } from './smtp-client.ts'

export interface OutboundWorld {
  readonly authority: Authority
  /** Whom nobody trusts. */
  readonly stranger: Authority
  readonly dns: DnsServer
  readonly policies: PolicyHosts
  readonly port: number
  readonly haraka: Haraka
  /** By host name. */
  readonly mtas: ReadonlyMap<string, SmtpMta>
  mta(host: string): SmtpMta
  /** All servers behave again, and what was seen and logged is forgotten. */
  reset(): void
  /** Submits a small message; the subject says which. `fields`: lines of the header. */
  send(
    to: string,
    subject?: string,
    submission?: Partial<Submission>,
    fields?: string,
  ): Promise<Reply>
  /** The same Haraka directory, a new process. */
  restart(): Promise<Haraka>
  close(): Promise<void>
}

export interface OutboundOptions {
  /** Host names: each gets an address, an A record, and a mail server with a certificate for its name. */
  readonly hosts: readonly string[]
  /** More zone entries, such as the MX records; `authentic` is theirs to say. */
  readonly zone?: Zone
  /** Policies that are there from the beginning. */
  readonly publish?: (policies: PolicyHosts) => void
  /** Lines under `domains:` of hisho.yaml. */
  readonly table?: string
  readonly plugins?: readonly string[]
  readonly files?: (world: FilesContext) => Files
  readonly environment?: Readonly<Record<string, string>>
}

export interface FilesContext {
  readonly authority: Authority
  readonly port: number
  readonly dnsPort: number
  readonly policyPort: number
  addressOf(host: string): string
}

export async function startOutbound(options: OutboundOptions): Promise<OutboundWorld> {
  const authority = makeAuthority()
  const stranger = makeAuthority()
  const credentials = new Map(options.hosts.map((host) => [host, authority.issue(host)]))
  const { port, mtas } = await startMtas(credentials)
  const mta = (host: string): SmtpMta => {
    const found = mtas.get(host)
    if (!found) throw new Error(`no ${host}`)
    return found
  }
  const dns = await startDnsServer({
    ...Object.fromEntries(
      [...mtas].map(([host, { address }]) => [host, { A: [address], authentic: true }]),
    ),
    // For hisho/dane, to see that its resolver validates.
    'signed.example': { TXT: ['signed'], authentic: true },
    ...options.zone,
  })
  const policies = await startPolicyHosts(authority, dns.zone)
  options.publish?.(policies)
  const files: Files = {
    'config/me': 'mx.a.example\n',
    'config/plugins': options.plugins ?? ['auth/flat_file', 'hisho/mta_sts', 'hisho/dane'],
    'config/auth_flat_file.ini': `[core]\nmethods=PLAIN\nconstrain_sender=false\n[users]\n${USER}=${PASSWORD}\n`,
    'config/outbound.ini': 'temp_fail_intervals=5s\nlocal_mx_ok=true\n',
    'config/hisho.ini': `[main]\nworkers=1\n[dns]\nservers=127.0.0.1:${dns.port}\ntimeout_ms=500\ntries=3\n[delivery]\nport=${port}\nca_file=ca.pem\n`,
    'config/ca.pem': authority.certificate,
    'config/hisho.mta_sts.ini': `[policy_host]\nport=${policies.port}\nallow_private=true\nca_file=ca.pem\ntimeout_ms=5000\n[cache]\nrefresh=false\n`,
    'config/hisho.dane.ini': '[main]\nprobe=signed.example\n',
    'config/hisho.yaml': `local: [a.example]\ndomains:\n${options.table ?? "  '*': { encrypt: never }"}\n`,
    ...options.files?.({
      authority,
      port,
      dnsPort: dns.port,
      policyPort: policies.port,
      addressOf: (host) => mta(host).address,
    }),
  }
  const environment = options.environment ?? {}
  const closeServers = async (): Promise<void> => {
    await Promise.all([...mtas.values()].map((one) => one.close()))
    await policies.close()
    await dns.close()
    authority.close()
    stranger.close()
  }
  let haraka = await startHaraka({ files, environment }).catch(async (error: unknown) => {
    await closeServers()
    throw error
  })
  let count = 0
  return {
    authority,
    stranger,
    dns,
    policies,
    port,
    get haraka() {
      return haraka
    },
    mtas,
    mta,
    reset: () => {
      for (const [host, one] of mtas) {
        one.forget()
        one.conduct = { credentials: credentials.get(host)! }
      }
      haraka.forgetLog()
    },
    send: (to, subject = `message ${++count}`, submission = {}, fields = '') =>
      submit({
        port: haraka.port,
        from: 'alice@a.example',
        to: [to],
        message: Buffer.from(
          `From: alice@a.example\r\nTo: ${to}\r\nSubject: ${subject}\r\n${fields}\r\nthe secret of ${subject}\r\n`,
        ),
        user: USER,
        password: PASSWORD,
        ...submission,
      }),
    restart: async () => {
      const { directory, port: smtpPort } = haraka
      const smtpIni = files['config/smtp.ini']
      haraka = await startHaraka({
        files: smtpIni === undefined ? {} : { 'config/smtp.ini': smtpIni },
        environment,
        directory,
        port: smtpPort,
      })
      return haraka
    },
    close: async () => {
      await haraka.stop()
      await closeServers()
    },
  }
}

/** The loopback has more addresses than one; which, should not be those of another test file. */
async function startMtas(
  hosts: ReadonlyMap<string, Credentials>,
): Promise<{ port: number; mtas: Map<string, SmtpMta> }> {
  const net = 1 + (process.pid % 250)
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort(`127.${net}.0.1`)
    const mtas = new Map<string, SmtpMta>()
    try {
      for (const [host, credentials] of hosts) {
        const address = `127.${net}.0.${mtas.size + 1}`
        mtas.set(host, await startMta({ address, port, conduct: { credentials } }))
      }
      return { port, mtas }
    } catch (error) {
      await Promise.all([...mtas.values()].map((one) => one.close()))
      if (attempt === 10) throw error
    }
  }
}
