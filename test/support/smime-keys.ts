// Keys and certificates for S/MIME by openssl, of the kinds that mail has: made once in a process.
import { execFileSync } from 'node:child_process'
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { OwnKey } from '../../lib/smime/cms/open.ts'

export const KEY_KINDS = ['RSA-3072', 'P-256', 'P-384'] as const
export type SmimeKeyKind = (typeof KEY_KINDS)[number] | 'P-521' | 'RSA-2048' | 'RSA-1024'

export interface SmimeKey extends OwnKey {
  readonly kind: SmimeKeyKind
  /** PEM. */
  readonly certificatePem: string
  readonly keyPem: string
}

const made = new Map<SmimeKeyKind, SmimeKey>()

/** One that signs itself: for what asks no authority. */
export function smimeKey(kind: SmimeKeyKind): SmimeKey {
  const held = made.get(kind)
  if (held) return held
  const folder = mkdtempSync(join(tmpdir(), 'hisho-smime-key-'))
  try {
    const keyPem = newPrivateKey(kind)
    writeFileSync(join(folder, 'key'), keyPem, { mode: 0o600 })
    const extensions = [
      'keyUsage=digitalSignature,keyEncipherment,keyAgreement',
      'extendedKeyUsage=emailProtection',
      `subjectAltName=email:${kind.toLowerCase()}@b.example`,
    ]
    execFileSync(
      'openssl',
      ['req', '-x509', '-key', 'key', '-days', '30', '-subj', `/CN=${kind}`, '-out', 'cert'].concat(
        extensions.flatMap((extension) => ['-addext', extension]),
      ),
      { cwd: folder, stdio: 'pipe' },
    )
    const certificatePem = readFileSync(join(folder, 'cert'), 'latin1')
    const key: SmimeKey = { kind, keyPem, certificatePem, ...ownKey(certificatePem, keyPem) }
    made.set(kind, key)
    return key
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** In the form that opens. */
function ownKey(certificatePem: string, keyPem: string): OwnKey {
  return {
    certificate: Uint8Array.from(new X509Certificate(certificatePem).raw),
    secret: Uint8Array.from(createPrivateKey(keyPem).export({ format: 'der', type: 'pkcs8' })),
  }
}

function newPrivateKey(kind: SmimeKeyKind): string {
  const [family, size] = kind.split('-')
  const { privateKey } =
    family === 'RSA'
      ? generateKeyPairSync('rsa', { modulusLength: Number(size) })
      : generateKeyPairSync('ec', { namedCurve: kind })
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}
