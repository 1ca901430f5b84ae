// Signing inside and encrypting, in one message. In the workers. RFC 9580 sections 10.3.1 and 10.3.2.
import { createMessage, encrypt, readPrivateKeys, type PrivateKey } from 'openpgp'
import { PermError } from '../errors.ts'
import { parse, problemOf } from './certificates.ts'

export async function seal({
  content,
  certificates,
  secretKeys,
}: {
  content: Uint8Array
  certificates: Uint8Array
  secretKeys: Uint8Array
}): Promise<Uint8Array> {
  const encryptionKeys = await parse(certificates)
  if (encryptionKeys.length === 0) throw new PermError('openpgp/key', 'there is no key')
  for (const key of encryptionKeys) {
    const problem = await problemOf(key)
    if (problem !== undefined)
      throw new PermError('openpgp/key', `${key.getFingerprint()}: ${problem}`)
  }
  const signer = await signerAmong(secretKeys)
  return encrypt({
    message: await createMessage({ binary: content }),
    encryptionKeys,
    ...(signer && { signingKeys: signer }),
    format: 'binary',
  })
}

async function signerAmong(secretKeys: Uint8Array): Promise<PrivateKey | undefined> {
  if (secretKeys.length === 0) return undefined
  for (const key of await readPrivateKeys({ binaryKeys: secretKeys })) {
    const isValid = await key.getSigningKey().then(
      () => true,
      () => false, // expired, or made for encryption alone
    )
    if (isValid) return key
  }
  return undefined
}
