// A private key and the certificates that belong to it, in their order.
import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { SecretBytes } from '../../crypto/secret-bytes.ts'
import { PermError } from '../../errors.ts'

export interface CertifiedKey {
  /** PKCS #8, DER. The caller's to wipe. */
  readonly secret: SecretBytes
  /** DER, the key's own first. */
  readonly certificates: readonly Uint8Array[]
}

const MAX_CERTIFICATES = 20

/** The key's own certificate first. PermError cli/usage where it is not among them. */
export function keyFirst(secret: SecretBytes, certificates: readonly Uint8Array[]): CertifiedKey {
  const key = createPrivateKey({ key: Buffer.from(secret.bytes), format: 'der', type: 'pkcs8' })
  const own = certificates.find((der) => new X509Certificate(der).checkPrivateKey(key))
  if (own === undefined || certificates.length > MAX_CERTIFICATES)
    throw new PermError('cli/usage', 'the certificate of the key is not there')
  return { secret, certificates: [own, ...certificates.filter((der) => der !== own)] }
}
