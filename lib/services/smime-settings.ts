// config/hisho.ini [smime]: which authorities are trusted, and how it is learnt what they have revoked.
import { X509Certificate } from 'node:crypto'
import { revocationModeFrom, type RevocationMode } from '../smime/trust/revocation-mode.ts'
import { readPem } from '../x509/pem.ts'
import type { Reader } from './ini-reader.ts'
import type { InConfig } from './source-settings.ts'

export interface SmimeSettings {
  /** DER. */
  readonly anchors: readonly Uint8Array[]
  readonly revocation: RevocationMode
  readonly timeoutMs: number
  readonly allowPrivate: boolean
}

export function parseSmimeSettings(read: Reader, inConfig: InConfig): SmimeSettings {
  const revocation = revocationModeFrom(read.text('smime', 'revocation'))
  if (revocation === undefined) throw read.error('smime', 'revocation', 'must be soft, hard or off')
  return {
    anchors: readAnchors(read, inConfig),
    revocation,
    timeoutMs: read.number('smime', 'revocation_timeout_ms', 1),
    allowPrivate: read.boolean('smime', 'revocation_allow_private'),
  }
}

function readAnchors(read: Reader, inConfig: InConfig): readonly Uint8Array[] {
  const name = read.text('smime', 'anchors_file')
  if (name === '') return []
  const file = inConfig(name)
  const all = readPem('CERTIFICATE', read.file('smime', 'anchors_file', file))
  if (all.length === 0)
    throw read.error('smime', 'anchors_file', `${file} holds no certificate (PEM)`)
  return all.map((der, at) => {
    try {
      return Uint8Array.from(new X509Certificate(der).raw)
    } catch {
      throw read.error('smime', 'anchors_file', `certificate ${at + 1} of ${file} cannot be read`)
    }
  })
}
