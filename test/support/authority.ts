// A certificate authority as an operator makes it with openssl, in a temporary directory.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Credentials {
  /** PEM. */
  readonly certificate: string
  readonly privateKey: string
}

export interface CertificateOptions {
  /** `-1`: over since yesterday. */
  readonly days?: number
  /** As in subjectAltName; by default the name, as a DNS name. */
  readonly names?: string
  readonly usage?: 'serverAuth' | 'clientAuth'
}

export interface Authority {
  readonly certificate: string
  issue(name: string, options?: CertificateOptions): Credentials
  close(): void
}

/** Whatever a test's clock says. */
const LONG_DAYS = 30_000
const NEW_KEY = '-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
const CA_USE = '-addext keyUsage=critical,keyCertSign,cRLSign'

export function makeAuthority(): Authority {
  const folder = mkdtempSync(join(tmpdir(), 'hisho-ca-'))
  const file = (name: string): string => join(folder, name)
  const openssl = (command: string): void =>
    void execFileSync('openssl', command.split(' '), { cwd: folder, stdio: 'pipe' })
  const read = (name: string): string => readFileSync(file(name), 'utf8')
  openssl(
    `req -x509 ${NEW_KEY} -keyout ca.key -out ca.pem -days ${LONG_DAYS} -subj /CN=authority ${CA_USE}`,
  )
  return {
    certificate: read('ca.pem'),
    issue(name, { days = LONG_DAYS, names = `DNS:${name}`, usage } = {}) {
      const extensions = [
        ...(names === '' ? [] : [`subjectAltName=${names}`]),
        ...(usage ? [`extendedKeyUsage=${usage}`] : []),
        'basicConstraints=CA:FALSE',
      ]
      writeFileSync(file('extensions'), `${extensions.join('\n')}\n`)
      openssl(`req ${NEW_KEY} -keyout key -out request -subj /CN=${name}`)
      openssl(
        `x509 -req -in request -CA ca.pem -CAkey ca.key -days ${days} -extfile extensions -out certificate`,
      )
      return { certificate: read('certificate'), privateKey: read('key') }
    },
    close: () => rmSync(folder, { recursive: true, force: true }),
  }
}
