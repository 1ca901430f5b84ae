// Where an authority of a test says what it has revoked: a list by `openssl ca`, answers by `openssl ocsp`, over HTTP on the
// loopback.
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseCertificate } from '../../lib/x509/certificate.ts'
import type { Certified } from './certificates.ts'

export interface RevocationServer {
  readonly listUrl: string
  readonly ocspUrl: string
  /** How many questions came, by path. */
  readonly asked: Map<string, number>
  /** What it does instead of answering. */
  trouble: 'none' | 'silent' | 'error' | 'garbage' | 'huge'
  /** Takes effect at once, in answers; in the list with `publish`. */
  revoke(certificate: Certified, reason?: string): void
  /** Puts a new list up. */
  publish(authority: Certified, options?: ListOptions): void
  /** From then on OCSP is answered by this authority, or for it by somebody else. */
  answerFor(authority: Certified, responder?: Certified): void
  know(...certificates: readonly Certified[]): void
  close(): void
}

export interface ListOptions {
  /** `-crlhours`; 0 or less: out of date. */
  readonly hours?: number
  /** Lines of a `crl_ext` section. */
  readonly extensions?: readonly string[]
}

export async function startRevocationServer(): Promise<RevocationServer> {
  const folder = mkdtempSync(join(tmpdir(), 'hisho-revocation-'))
  const index = new Map<string, string>()
  const asked = new Map<string, number>()
  const silent: ServerResponse[] = []
  let list: Uint8Array = new Uint8Array()
  let signers: readonly [Certified, Certified] | undefined

  const write = (name: string, content: string | Uint8Array): string => {
    writeFileSync(join(folder, name), content)
    return name
  }
  const openssl = (args: readonly string[]): void => {
    execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' })
  }
  const serialOf = ({ der }: Certified): string =>
    Buffer.from(parseCertificate(der).serialNumber).toString('hex').toUpperCase()
  const writeIndex = (): string => write('index', [...index.values()].join(''))

  const answer = (request: Uint8Array): Uint8Array => {
    if (!signers) throw new Error('nobody answers here')
    const [authority, responder] = signers
    write('request', request)
    write('authority', authority.certificate)
    write('responder', responder.certificate + responder.privateKey)
    openssl(
      ['ocsp', '-index', writeIndex(), '-CA', 'authority', '-rsigner', 'responder'].concat([
        '-reqin',
        'request',
        '-respout',
        'response',
        '-nmin',
        '10',
      ]),
    )
    return readFileSync(join(folder, 'response'))
  }

  const respond = (request: IncomingMessage, body: Uint8Array, response: ServerResponse): void => {
    asked.set(request.url ?? '', (asked.get(request.url ?? '') ?? 0) + 1)
    if (server.trouble === 'silent') silent.push(response)
    else if (server.trouble === 'error') response.writeHead(500).end()
    else if (server.trouble === 'garbage') response.end('<html>')
    else if (server.trouble === 'huge') response.end(Buffer.alloc(4_000_000))
    else response.end(request.url === '/ocsp' ? answer(body) : list)
  }
  const listener = createServer((request, response) => {
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('end', () => respond(request, Buffer.concat(pieces), response))
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as AddressInfo

  const server: RevocationServer = {
    listUrl: `http://authority.example:${port}/list.crl`,
    ocspUrl: `http://authority.example:${port}/ocsp`,
    asked,
    trouble: 'none',
    know(...certificates) {
      for (const one of certificates) {
        const serial = serialOf(one)
        index.set(serial, `V\t350101000000Z\t\t${serial}\tunknown\t/CN=${serial}\n`)
      }
    },
    revoke(certificate, reason = 'keyCompromise') {
      const serial = serialOf(certificate)
      index.set(
        serial,
        `R\t350101000000Z\t250101000000Z,${reason}\t${serial}\tunknown\t/CN=${serial}\n`,
      )
    },
    publish(authority, { hours = 24, extensions = [] } = {}) {
      write('crlnumber', '01')
      write(
        'config',
        ['[ca]', 'default_ca=own', '[own]', `database=${writeIndex()}`, 'crlnumber=crlnumber']
          .concat(['default_md=sha256', 'crl_extensions=ext', '[ext]', ...extensions])
          .join('\n'),
      )
      write('authority', authority.certificate)
      write('key', authority.privateKey)
      openssl(
        ['ca', '-gencrl', '-config', 'config', '-cert', 'authority', '-keyfile', 'key'].concat([
          '-crlsec',
          String(hours * 3600),
          '-out',
          'list.pem',
        ]),
      )
      openssl(['crl', '-in', 'list.pem', '-outform', 'DER', '-out', 'list'])
      list = readFileSync(join(folder, 'list'))
    },
    answerFor(authority, responder = authority) {
      signers = [authority, responder]
    },
    close() {
      for (const response of silent) response.destroy()
      listener.close()
      listener.closeAllConnections()
      rmSync(folder, { recursive: true, force: true })
    },
  }
  return server
}
