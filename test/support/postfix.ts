// Debian's Postfix as an instance of its own in a temporary directory, on the loopback; ended by its own process id.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import type { Credentials } from './authority.ts'
import { freePort } from './haraka.ts'
import { peer } from './peers.ts'
import { openSession } from './smtp-client.ts'

const SBIN = ['/usr/sbin', '/usr/local/sbin']

/** For `skip`: false when Postfix is here and may be started. */
export const postfixMissing: string | false =
  peer('postfix', 'postfix', SBIN) ||
  (userInfo().uid === 0 ? false : 'Postfix starts as root only, to become several users')

export interface Postfix {
  readonly port: number
  log(): string
  close(): Promise<void>
}

export interface PostfixOptions {
  readonly domain: string
  /** A port from `freePort`, when others must know it before Postfix runs. */
  readonly port?: number
  /** Where mail goes, by domain, its own among them: a port of an SMTP server on the loopback. */
  readonly routes: Readonly<Record<string, number>>
  /** More addresses to take mail at, each with TLS of its own kind. */
  readonly listeners?: readonly PostfixListener[]
}

export interface PostfixListener {
  readonly address: string
  readonly port: number
  /** Without: no TLS is offered. */
  readonly credentials?: Credentials
  /** `old`: TLS 1.0 and 1.1 alone. */
  readonly versions?: 'old'
}

/** Takes mail for anybody, from this machine. Rejects, with the log, if it does not listen in time. */
export async function startPostfix({
  domain,
  routes,
  port: wanted,
  listeners = [],
}: PostfixOptions): Promise<Postfix> {
  const directory = mkdtempSync(join(tmpdir(), 'hisho-postfix-'))
  chmodSync(directory, 0o755) // its processes run as user postfix
  const port = wanted ?? (await freePort())
  for (const folder of ['config', 'queue', 'data']) mkdirSync(join(directory, folder))
  const config = join(directory, 'config')
  writeFileSync(join(config, 'main.cf'), mainCf(directory, domain, routes))
  const more = listeners.map((listener, at) => listenerLine(listener, join(config, `${at}.pem`)))
  writeFileSync(join(config, 'master.cf'), masterCf(port) + more.join(''))
  const environment = {
    ...process.env,
    PATH: [process.env['PATH'] ?? '', ...SBIN].join(':'),
  }
  await owned(join(directory, 'data'), environment)
  const child = spawn('postfix', ['-c', config, 'start-fg'], {
    stdio: 'ignore',
    env: environment,
  })
  const log = (): string => readOrEmpty(join(directory, 'log'))
  const exited = once(child, 'exit')
  const close = async (): Promise<void> => {
    const master = masterPid(directory)
    if (master !== undefined) end(master)
    else if (child.exitCode === null) child.kill('SIGTERM')
    await exited
    rmSync(directory, { recursive: true, force: true })
  }
  for (let tries = 0; tries < 200 && child.exitCode === null; tries++) {
    try {
      const session = await openSession(port)
      session.close()
      return { port, log, close }
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  const said = log()
  await close()
  throw new Error(`Postfix did not start:\n${said.slice(-4000)}`)
}

async function owned(folder: string, env: NodeJS.ProcessEnv): Promise<void> {
  const [code] = (await once(spawn('chown', ['postfix', folder], { env }), 'exit')) as [number]
  if (code !== 0) throw new Error('there is no user postfix')
}

/** Of the master process; its file is padded with blanks. */
function masterPid(directory: string): number | undefined {
  const pid = Number(readOrEmpty(join(directory, 'queue', 'pid', 'master.pid')).trim())
  return Number.isInteger(pid) && pid > 1 ? pid : undefined
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGTERM') // it ends its children itself
  } catch {
    // gone already
  }
}

function mainCf(
  directory: string,
  domain: string,
  routes: Readonly<Record<string, number>>,
): string {
  const transports = Object.entries(routes).map(
    ([name, port]) => `{ ${name} = smtp:[127.0.0.1]:${port} }`,
  )
  return `compatibility_level = 3.6
queue_directory = ${directory}/queue
data_directory = ${directory}/data
maillog_file = ${directory}/log
maillog_file_prefixes = ${directory}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtp_dns_support_level = disabled
myhostname = mx.${domain}
mydomain = ${domain}
mydestination =
alias_maps =
local_recipient_maps =
mynetworks = 127.0.0.0/8
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_tls_security_level = none
smtp_tls_security_level = none
message_size_limit = 0
transport_maps = inline:{ ${transports.join(', ')} }
notify_classes =
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
`
}

function listenerLine(
  { address, port, credentials, versions }: PostfixListener,
  file: string,
): string {
  const line = `${address}:${port} inet n - n - - smtpd -o syslog_name=postfix/${address}`
  if (!credentials) return `${line}\n`
  writeFileSync(file, credentials.privateKey + credentials.certificate, { mode: 0o600 })
  const settings = [
    'smtpd_tls_security_level=may',
    `smtpd_tls_chain_files=${file}`,
    'smtpd_tls_received_header=yes',
    'smtpd_tls_loglevel=1',
    ...(versions === 'old'
      ? [
          'smtpd_tls_protocols=>=TLSv1,<=TLSv1.1',
          'smtpd_tls_ciphers=low',
          'tls_low_cipherlist=ALL:@SECLEVEL=0',
        ]
      : []),
  ]
  return `${line}${settings.map((setting) => ` -o ${setting}`).join('')}\n`
}

/** As Debian's own, without what is not used, and nothing in a chroot. */
function masterCf(port: number): string {
  return `127.0.0.1:${port} inet n - n - - smtpd
pickup    unix n - n 60 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
verify    unix - - n - 1 verify
flush     unix n - n 1000? 0 flush
tlsmgr    unix - - n 1000? 1 tlsmgr
proxymap  unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp      unix - - n - - smtp
relay     unix - - n - - smtp
showq     unix n - n - - showq
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
`
}
