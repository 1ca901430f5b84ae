// New keys for certificates: RFC 8551 section 4.3.
import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { SecretBytes } from '../../crypto/secret-bytes.ts'

export const MAIL_KEY_TYPES = ['p256', 'p384', 'rsa3072'] as const
export type MailKeyType = (typeof MAIL_KEY_TYPES)[number]

export interface MailKey {
  /** PKCS #8, DER. The caller's to wipe. */
  readonly secret: SecretBytes
  readonly privateKey: KeyObject
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array
}

const generate = promisify(generateKeyPair)

export async function generateMailKey(type: MailKeyType): Promise<MailKey> {
  const { privateKey } =
    type === 'rsa3072'
      ? await generate('rsa', { modulusLength: 3072 })
      : await generate('ec', { namedCurve: type === 'p256' ? 'P-256' : 'P-384' })
  return mailKeyOf(privateKey)
}

/** The key object keeps a copy inside OpenSSL, which the process has until it is collected. */
export function readMailKey(secret: SecretBytes): MailKey {
  const key = Buffer.from(secret.bytes.buffer, secret.bytes.byteOffset, secret.bytes.length)
  const privateKey = createPrivateKey({ key, format: 'der', type: 'pkcs8' })
  return { secret, privateKey, publicKey: publicKeyOf(privateKey) }
}

export function mailKeyOf(privateKey: KeyObject): MailKey {
  const bytes = privateKey.export({ type: 'pkcs8', format: 'der' })
  return {
    secret: new SecretBytes(Uint8Array.from(bytes)),
    privateKey,
    publicKey: publicKeyOf(privateKey),
  }
}

function publicKeyOf(privateKey: KeyObject): Uint8Array {
  return Uint8Array.from(createPublicKey(privateKey).export({ type: 'spki', format: 'der' }))
}
