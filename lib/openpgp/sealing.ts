// Signing inside and encrypting, in one message. In the workers. RFC 9580 sections 10.3.1 and 10.3.2.
import { ReadableStream } from 'node:stream/web'
import { createMessage, encrypt, type Key, type PrivateKey } from 'openpgp'
import { PermError } from '../errors.ts'
import { collectBlocks } from '../mail/message.ts'
import { problemOf } from './certificates.ts'
import type { ParsedKeys } from './parsed-keys.ts'

interface SealArgs {
  readonly content: readonly Uint8Array[]
  readonly certificates: readonly Uint8Array[]
  readonly secretKeys: readonly Uint8Array[]
}

/** The packets, in blocks. */
export async function seal(args: SealArgs, parsed: ParsedKeys): Promise<Uint8Array[]> {
  const encryptionKeys = [...(await parsed.certificates(args.certificates))]
  if (encryptionKeys.length === 0) throw new PermError('openpgp/key', 'there is no key')
  for (const key of encryptionKeys) await checkUsable(key)
  const signer = await signerAmong(await parsed.secretKeys(args.secretKeys))
  const options = {
    encryptionKeys,
    ...(signer && { signingKeys: signer }),
    format: 'binary',
  } as const
  const [first = new Uint8Array(), ...more] = args.content
  if (more.length === 0)
    return [await encrypt({ message: await createMessage({ binary: first }), ...options })]
  // Whole, it would be there several times at once.
  const message = await createMessage({ binary: streamOf([first, ...more]) })
  return collectBlocks(await encrypt({ message, ...options }))
}

/** Nothing is kept of what was read. */
function streamOf(blocks: Uint8Array[]): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const block = blocks.shift()
        if (block) controller.enqueue(block)
        else controller.close()
      },
    },
    { highWaterMark: 0 },
  )
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
