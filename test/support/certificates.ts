// Certificates of any shape, by openssl: what an authority would make, and what none should.
import { execFileSync } from 'node:child_process'
import { X509Certificate, generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Certified {
  readonly der: Uint8Array
  /** PEM. */
  readonly certificate: string
  readonly privateKey: string
}

export interface CertifyOptions {
  /** undefined: signed with its own key. */
  readonly issuer?: Certified
  /** Lines of an extension file. */
  readonly extensions?: readonly string[]
  /** `-1`: over since yesterday. */
  readonly days?: number
  /** Whose key it has; by default a new one. */
  readonly privateKey?: string
}

/** What makes an authority, before path length and the like. */
export const AUTHORITY = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign']

export function certify(
  subject: string,
  { issuer, extensions = [], days = 3650, privateKey = newKey() }: CertifyOptions = {},
): Certified {
  const folder = mkdtempSync(join(tmpdir(), 'hisho-certificate-'))
  try {
    const write = (name: string, text: string): string => {
      writeFileSync(join(folder, name), text)
      return name
    }
    const key = write('key', privateKey)
    execFileSync('openssl', ['pkey', '-in', key, '-pubout', '-out', 'public'], { cwd: folder })
    const signer = issuer
      ? ['-CA', write('ca', issuer.certificate), '-CAkey', write('cakey', issuer.privateKey)]
      : ['-key', key]
    const file = write('extensions', `${extensions.join('\n')}\n`)
    execFileSync(
      'openssl',
      ['x509', '-new', '-subj', subject, '-force_pubkey', 'public', '-days', String(days)]
        .concat(signer)
        .concat(['-extfile', file, '-out', 'certificate']),
      { cwd: folder, stdio: 'pipe' },
    )
    const certificate = readFileSync(join(folder, 'certificate'), 'utf8')
    return { certificate, privateKey, der: derOf(certificate) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export function derOf(pem: string): Uint8Array {
  return Uint8Array.from(new X509Certificate(pem).raw)
}

export function newKey(): string {
  return generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  }).privateKey
}
