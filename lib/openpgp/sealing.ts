// Signing inside and encrypting, in one message. In the workers. RFC 9580 sections 10.3.1 and 10.3.2.
import { ReadableStream } from 'node:stream/web'
import {
  createMessage,
  encrypt,
  encryptSessionKey,
  generateSessionKey,
  sign,
  SignaturePacket,
  type Key,
  type Message,
  type PrivateKey,
} from 'openpgp'
import { PermError } from '../errors.ts'
import { LARGE_BYTES, piecesOf } from '../mail/large-bytes.ts'
import { collect, collectBlocks } from '../mail/message.ts'
import { problemOf } from './certificates.ts'
import type { ParsedKeys } from './parsed-keys.ts'
import { hasCfb, onePassPacket, sealData, type SignaturePackets } from './sealed-data.ts'

interface SealArgs {
  /** Overwritten. */
  readonly content: Uint8Array
  readonly certificates: readonly Uint8Array[]
  readonly secretKeys: readonly Uint8Array[]
}

/** The packets, in pieces; the first has all that stands before the data. */
export async function seal(args: SealArgs, parsed: ParsedKeys): Promise<Uint8Array[]> {
  const { content } = args
  const encryptionKeys = [...(await parsed.certificates(args.certificates))]
  if (encryptionKeys.length === 0) throw new PermError('openpgp/key', 'there is no key')
  for (const key of encryptionKeys) await checkUsable(key)
  const signer = await signerAmong(await parsed.secretKeys(args.secretKeys))
  const sessionKey = await generateSessionKey({ encryptionKeys })
  const { algorithm, data, aeadAlgorithm } = sessionKey
  // AEAD for those who ask for it, and signatures with salt.
  if (aeadAlgorithm !== undefined || !hasCfb(algorithm) || signer?.keyPacket.version === 6)
    return sealWithLibrary(content, encryptionKeys, signer)
  const keyPackets = await encryptSessionKey({ ...sessionKey, encryptionKeys, format: 'binary' })
  const packets = signer && (await signed(content, signer, encryptionKeys))
  const [start, ...rest] = sealData(content, packets, { algorithm, data })
  data.fill(0)
  return [Buffer.concat([keyPackets, start]), ...rest]
}

async function signed(
  content: Uint8Array,
  signer: PrivateKey,
  recipientKeys: Key[],
): Promise<SignaturePackets> {
  const message = await messageOf(content)
  const options = { signingKeys: signer, recipientKeys, detached: true, format: 'object' } as const
  const signature = await sign({ message, ...options })
  await drain(message)
  const [packet] = signature.packets
  if (!(packet instanceof SignaturePacket)) throw new Error('no signature')
  const { signatureType, hashAlgorithm, publicKeyAlgorithm, issuerKeyID } = packet
  const written = signature.write()
  return {
    onePass: onePassPacket({
      signatureType: signatureType!,
      hashAlgorithm: hashAlgorithm!,
      publicKeyAlgorithm: publicKeyAlgorithm!,
      keyId: Buffer.from(issuerKeyID.toHex(), 'hex'),
    }),
    signature: written instanceof Uint8Array ? written : await collect(written),
  }
}

/** The library hashes what passes by while the content is read, by its own reader. */
async function drain(message: Awaited<ReturnType<typeof messageOf>>): Promise<void> {
  const data = message.getLiteralData()
  if (!data || data instanceof Uint8Array) return
  const reader = data.getReader()
  while (!(await reader.read()).done);
}

async function sealWithLibrary(
  content: Uint8Array,
  encryptionKeys: Key[],
  signer: PrivateKey | undefined,
): Promise<Uint8Array[]> {
  const message = await messageOf(content)
  const sealed = await encrypt({
    message,
    encryptionKeys,
    ...(signer && { signingKeys: signer }),
    format: 'binary',
  })
  return sealed instanceof Uint8Array ? [sealed] : collectBlocks(sealed)
}

/** Of what is whole the library makes several copies. */
async function messageOf(
  content: Uint8Array,
): Promise<Message<Uint8Array | ReadableStream<Uint8Array>>> {
  if (content.length < LARGE_BYTES) return createMessage({ binary: content })
  return createMessage({ binary: ReadableStream.from(piecesOf(content)) })
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
