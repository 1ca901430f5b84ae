// Debian's Dovecot in a directory of its own: LMTP in, POP3 and IMAP out, on the loopback; ended by its own handle.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { freePort } from './haraka.ts'
import { connectLines } from './mailbox-client.ts'
import { peer } from './peers.ts'

/** For `skip`: false when all of Dovecot is here. */
export const dovecotMissing: string | false =
  peer('dovecot', 'dovecot-core', ['/usr/sbin', '/usr/local/sbin']) ||
  peer('lmtp', 'dovecot-lmtpd', ['/usr/lib/dovecot', '/usr/libexec/dovecot']) ||
  peer('pop3', 'dovecot-pop3d', ['/usr/lib/dovecot', '/usr/libexec/dovecot']) ||
  peer('imap', 'dovecot-imapd', ['/usr/lib/dovecot', '/usr/libexec/dovecot'])

export interface Dovecot {
  readonly lmtpPort: number
  readonly pop3Port: number
  readonly imapPort: number
  log(): string
  close(): Promise<void>
}

/** Accounts are whole addresses, with their passwords. Rejects, with the log, if it does not listen in time. */
export async function startDovecot(users: Readonly<Record<string, string>>): Promise<Dovecot> {
  const directory = mkdtempSync(join(tmpdir(), 'hisho-dovecot-'))
  chmodSync(directory, 0o755) // its processes run as several users
  const lines = Object.entries(users).map(([user, password]) => `${user}:{PLAIN}${password}\n`)
  writeFileSync(join(directory, 'users'), lines.join(''))
  const [lmtpPort, pop3Port, imapPort] = await Promise.all([freePort(), freePort(), freePort()])
  const mailUser = makeMailFolder(join(directory, 'mail'))
  const file = join(directory, 'dovecot.conf')
  writeFileSync(file, configuration(directory, { lmtpPort, pop3Port, imapPort }, mailUser))
  const child = spawn('dovecot', ['-F', '-c', file], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/usr/local/sbin` },
  })
  let log = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (piece: Buffer) => {
      log += piece.toString('utf8')
    })
  const exited = once(child, 'exit')
  const close = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
    await exited
    rmSync(directory, { recursive: true, force: true })
  }
  try {
    for (const port of [lmtpPort, pop3Port, imapPort]) await greeted(port)
  } catch (error) {
    await close()
    throw new Error(`Dovecot did not start:\n${log.slice(-4000)}`, { cause: error })
  }
  return { lmtpPort, pop3Port, imapPort, log: () => log, close }
}

interface MailUser {
  readonly uid: number
  readonly gid: number
}

/** Mail never belongs to root: Dovecot refuses that. */
function makeMailFolder(folder: string): MailUser {
  const NOBODY = 65_534
  mkdirSync(folder)
  const { uid, gid } = userInfo()
  if (uid !== 0) return { uid, gid }
  chownSync(folder, NOBODY, NOBODY)
  return { uid: NOBODY, gid: NOBODY }
}

function configuration(
  directory: string,
  ports: Pick<Dovecot, 'lmtpPort' | 'pop3Port' | 'imapPort'>,
  { uid, gid }: MailUser,
): string {
  const { username } = userInfo()
  // Without root there is nobody to change to, and no chroot.
  const unprivileged =
    userInfo().uid === 0
      ? ''
      : `default_internal_user = ${username}
default_login_user = ${username}
default_internal_group =
${['imap-login', 'pop3-login', 'imap-urlauth-login', 'anvil'].map((name) => `service ${name} {\n  chroot =\n}\n`).join('')}`
  return `protocols = lmtp pop3 imap
base_dir = ${directory}/run
state_dir = ${directory}/state
log_path = /dev/stderr
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
first_valid_uid = 1
first_valid_gid = 0
postmaster_address = postmaster@b.example
hostname = mail.b.example
mail_location = maildir:~/Maildir
passdb {
  driver = passwd-file
  args = username_format=%u ${directory}/users
}
userdb {
  driver = static
  args = uid=${uid} gid=${gid} home=${directory}/mail/%u
}
service lmtp {
  inet_listener lmtp {
    address = 127.0.0.1
    port = ${ports.lmtpPort}
  }
}
service pop3-login {
  inet_listener pop3 {
    port = ${ports.pop3Port}
  }
  inet_listener pop3s {
    port = 0
  }
}
service imap-login {
  inet_listener imap {
    port = ${ports.imapPort}
  }
  inet_listener imaps {
    port = 0
  }
}
${unprivileged}`
}

/** Resolves once a server on the port says a first line. */
async function greeted(port: number): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      const lines = await connectLines(port)
      await lines.readLine()
      lines.close()
      return
    } catch (error) {
      if (tries === 200) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}
