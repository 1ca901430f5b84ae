// A receiving mail server that does with STARTTLS what it is told, good or bad, and keeps what came in clear and what came
// over TLS apart.
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { createSecureContext, TLSSocket, type SecureVersion } from 'node:tls'
import type { Credentials } from './authority.ts'

export interface Conduct {
  /** Default `220 ready`. */
  readonly greeting?: string
  /** A line, or `hang up`, in place of the answer to EHLO; `within`: to that over TLS. */
  readonly ehlo?: string
  readonly ehloWithin?: string
  readonly startTls?:
    | 'offered'
    | 'missing'
    /** 220, and then bytes that are no TLS. */
    | 'garbage'
    /** 220 and a line more in one packet. */
    | 'inject'
    /** 220 and the beginning of a line in one packet. */
    | 'inject a part'
    /** 220, and a line more in another packet. */
    | 'inject later'
    /** 220, and no byte of TLS: the connection is closed. */
    | 'hang up'
    /** 220, the handshake, and then the end. */
    | 'hang up within'
    /** An answer such as `454 not now`. */
    | `${number} ${string}`
  /** Certificates (PEM, its own first) and key. */
  readonly credentials?: Credentials
  readonly minVersion?: SecureVersion
  readonly maxVersion?: SecureVersion
  readonly offersRequireTls?: boolean
  /** Whether a client certificate is asked for. */
  readonly asksCertificate?: boolean
  /** In place of the answer to MAIL. */
  readonly mail?: string
}

export interface MtaSession {
  /** What the client sent in clear, and over TLS. */
  clear: string
  secure: string
  servername: string | undefined
  version: string | undefined
  isReused: boolean
  clientName: string | undefined
}

export interface MtaDelivery {
  readonly from: string
  readonly to: readonly string[]
  readonly message: string
  readonly session: MtaSession
}

export interface SmtpMta {
  readonly address: string
  readonly port: number
  readonly sessions: MtaSession[]
  readonly deliveries: MtaDelivery[]
  conduct: Conduct
  /** Everything that was ever said to it in clear. */
  clear(): string
  /** Resolves once there are that many deliveries; rejects after a bounded wait. */
  waitFor(count: number, timeoutMs?: number): Promise<readonly MtaDelivery[]>
  /** As waitFor, of sessions that have ended. */
  waitForSessions(count: number, timeoutMs?: number): Promise<readonly MtaSession[]>
  forget(): void
  close(): Promise<void>
}

export interface MtaOptions {
  readonly address?: string
  readonly port?: number
  readonly conduct?: Conduct
}

export async function startMta({
  address = '127.0.0.1',
  port = 0,
  conduct = {},
}: MtaOptions = {}): Promise<SmtpMta> {
  const sessions: MtaSession[] = []
  const ended: MtaSession[] = []
  const deliveries: MtaDelivery[] = []
  const sockets = new Set<Socket>()
  const waiting = new Set<() => void>()
  const notify = (): void => {
    for (const check of waiting) check()
  }
  const wait = async <T>(list: readonly T[], count: number, ms: number): Promise<readonly T[]> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting.delete(check)
        reject(new Error(`${list.length} of ${count} at ${address} within ${ms} ms`))
      }, ms)
      const check = (): void => {
        if (list.length < count) return
        clearTimeout(timer)
        waiting.delete(check)
        resolve(list)
      }
      waiting.add(check)
      check()
    })
  const server = createServer((socket) => {
    sockets.add(socket)
    const session: MtaSession = {
      clear: '',
      secure: '',
      servername: undefined,
      version: undefined,
      isReused: false,
      clientName: undefined,
    }
    sessions.push(session)
    socket.on('error', () => {})
    socket.on('close', () => {
      sockets.delete(socket)
      ended.push(session)
      notify()
    })
    serve(socket, mta.conduct, session, (delivery) => {
      deliveries.push(delivery)
      notify()
    })
  })
  server.listen(port, address)
  await once(server, 'listening')
  const mta: SmtpMta = {
    address,
    port: (server.address() as AddressInfo).port,
    sessions,
    deliveries,
    conduct,
    clear: () => sessions.map((session) => session.clear).join(''),
    waitFor: (count, timeoutMs = 20_000) => wait(deliveries, count, timeoutMs),
    waitForSessions: (count, timeoutMs = 20_000) => wait(ended, count, timeoutMs),
    forget: () => {
      sessions.length = 0
      ended.length = 0
      deliveries.length = 0
    },
    close: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
  return mta
}

function serve(
  plain: Socket,
  conduct: Conduct,
  session: MtaSession,
  deliver: (delivery: MtaDelivery) => void,
): void {
  let socket: Socket = plain
  let pending = ''
  let from = ''
  let to: string[] = []
  let data: string | undefined
  const isSecure = (): boolean => socket !== plain
  const say = (text: string): void => void socket.write(`${text}\r\n`)
  const ehlo = (): void => {
    const answer = isSecure() ? conduct.ehloWithin : conduct.ehlo
    if (answer === 'hang up') return void plain.destroy()
    if (answer !== undefined) return say(answer)
    const offers = [
      'mta',
      '8BITMIME',
      ...(isSecure() || conduct.startTls === 'missing' ? [] : ['STARTTLS']),
      ...(isSecure() && conduct.offersRequireTls ? ['REQUIRETLS'] : []),
    ]
    say([...offers.map((offer) => `250-${offer}`), '250 SIZE 100000000'].join('\r\n'))
  }
  const secure = (): void => {
    const { certificate, privateKey } = conduct.credentials ?? {}
    plain.removeAllListeners('data')
    const { minVersion, maxVersion } = conduct
    const cleartext = new TLSSocket(plain, {
      isServer: true,
      requestCert: conduct.asksCertificate ?? false,
      rejectUnauthorized: false,
      secureContext: createSecureContext({
        cert: certificate,
        key: privateKey,
        ...(minVersion && { minVersion }),
        ...(maxVersion && { maxVersion }),
        // Old versions of TLS are off otherwise.
        ...(maxVersion && { ciphers: 'DEFAULT@SECLEVEL=0' }),
      }),
      SNICallback: (servername, done) => {
        session.servername = servername
        done(null)
      },
    })
    cleartext.on('error', () => plain.destroy())
    cleartext.on('secure', () => {
      session.version = cleartext.getProtocol() ?? undefined
      session.isReused = cleartext.isSessionReused()
      session.clientName = String(cleartext.getPeerCertificate().subject?.CN ?? '')
      if (conduct.startTls === 'hang up within') plain.destroy()
    })
    socket = cleartext
    listen()
  }
  const startTls = (): void => {
    switch (conduct.startTls) {
      case undefined:
      case 'offered':
      case 'hang up within':
        say('220 go on')
        return secure()
      case 'missing':
        return say('502 not here')
      case 'garbage':
        say('220 go on')
        return void setImmediate(() => say('this is no TLS'))
      case 'inject':
        say('220 go on\r\n250-mta\r\n250 AUTH PLAIN')
        return secure()
      case 'inject a part':
        socket.write('220 go on\r\n250-')
        return secure()
      case 'inject later':
        say('220 go on')
        return void setImmediate(() => say('250 injected'))
      case 'hang up':
        say('220 go on')
        return void setImmediate(() => plain.destroy())
      default:
        return say(conduct.startTls)
    }
  }
  const command = (line: string): void => {
    const verb = line.split(/[ :]/, 1)[0]?.toUpperCase()
    const argument = /<(.*?)>/.exec(line)?.[1] ?? ''
    if (verb === 'EHLO') ehlo()
    else if (verb === 'STARTTLS') startTls()
    else if (verb === 'MAIL') {
      from = argument
      to = []
      say(conduct.mail ?? '250 ok')
    } else if (verb === 'RCPT') {
      to.push(argument)
      say('250 ok')
    } else if (verb === 'DATA') {
      data = ''
      say('354 go on')
    } else if (verb === 'QUIT') {
      say('221 bye')
      socket.end()
    } else say('250 ok')
  }
  const dataLine = (line: string): void => {
    if (line !== '.\r\n') {
      data += line.startsWith('.') ? line.slice(1) : line
      return
    }
    deliver({ from, to, message: data ?? '', session })
    data = undefined
    say('250 kept')
  }
  const listen = (): void => {
    socket.on('data', (piece: Buffer) => {
      const text = piece.toString('latin1')
      if (isSecure()) session.secure += text
      else session.clear += text
      pending += text
      for (let at = pending.indexOf('\n'); at !== -1; at = pending.indexOf('\n')) {
        const line = pending.slice(0, at + 1)
        pending = pending.slice(at + 1)
        if (data === undefined) command(line.trimEnd())
        else dataLine(line)
      }
    })
  }
  listen()
  say(conduct.greeting ?? '220 ready')
}
