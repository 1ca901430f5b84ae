// Signing inside and encrypting, in one message. In the workers. RFC 9580 sections 10.3.1 and 10.3.2.
import { createMessage, encrypt, type Key, type PrivateKey } from 'openpgp'
import { PermError } from '../errors.ts'
import { problemOf } from './certificates.ts'
import type { ParsedKeys } from './parsed-keys.ts'

interface SealArgs {
  readonly content: Uint8Array
  readonly certificates: readonly Uint8Array[]
  readonly secretKeys: readonly Uint8Array[]
}

export async function seal(args: SealArgs, parsed: ParsedKeys): Promise<Uint8Array> {
  const encryptionKeys = [...(await parsed.certificates(args.certificates))]
  if (encryptionKeys.length === 0) throw new PermError('openpgp/key', 'there is no key')
  for (const key of encryptionKeys) await checkUsable(key)
  const signer = await signerAmong(await parsed.secretKeys(args.secretKeys))
  return encrypt({
    message: await createMessage({ binary: args.content }),
    encryptionKeys,
    ...(signer && { signingKeys: signer }),
    format: 'binary',
  })
}

async function checkUsable(key: Key): Promise<void> {
  const problem = await problemOf(key)
  if (problem !== undefined)
    throw new PermError('openpgp/key', `${key.getFingerprint()}: ${problem}`)
}

async function signerAmong(keys: readonly PrivateKey[]): Promise<PrivateKey | undefined> {
  for (const key of keys) {
    const isValid = await key.getSigningKey().then(
      () => true,
      () => false, // expired, or made for encryption alone
    )
    if (isValid) return key
  }
  return undefined
}
