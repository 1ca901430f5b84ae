// age files, version 1 (c2sp.org/age), sealed and opened as streams in constant memory.
import { randomBytes } from 'node:crypto'
import { ByteReader, type Bytes } from './byte-reader.ts'
import { ContainerError } from './container-error.ts'
import { checkMac, formatHeader, headerId, parseHeader } from './header.ts'
import { chunkCipher, openChunks, PAYLOAD_NONCE_BYTES, sealChunks } from './payload.ts'
import { FILE_KEY_BYTES } from './sealed-key.ts'
import type { Identity, Recipient, Stanza } from './stanza.ts'
import { AGE_SUITE, isAvailable, missingText, type Suite } from './suite.ts'

export type { Bytes } from './byte-reader.ts'

/** Writes a file that each of the recipients can open. A file key lives for one file only. */
export async function* seal(
  recipients: readonly Recipient[],
  plaintext: Bytes,
  suite: Suite = AGE_SUITE,
): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = new ByteReader(plaintext)
  const fileKey = new Uint8Array(randomBytes(FILE_KEY_BYTES))
  try {
    const stanzas: Stanza[] = []
    for (const recipient of recipients) stanzas.push(...(await recipient.wrap(fileKey)))
    const header = formatHeader(stanzas, fileKey, suite)
    const nonce = new Uint8Array(randomBytes(PAYLOAD_NONCE_BYTES))
    const cipher = chunkCipher(suite, fileKey, nonce)
    fileKey.fill(0)
    yield header
    yield nonce
    yield* sealChunks(reader, cipher)
  } finally {
    fileKey.fill(0)
    await reader.close()
  }
}

/**
 * Reads the header, finds the file key, and streams the plaintext. Nothing of a chunk is given out before its
 * tag is right. Release nothing before the iteration ended without error: a file that was cut off shows only
 * at its end. Other suites than age's own are opened only where they are named. Iterate the plaintext or close the input yourself: this closes it only once iteration has begun.
 */
export async function open(
  identities: readonly Identity[],
  ciphertext: Bytes,
  suites: readonly Suite[] = [AGE_SUITE],
): Promise<{
  readonly suite: Suite
  readonly stanzas: readonly Stanza[]
  /** Names the file, see `headerId`. */
  readonly id: string
  readonly plaintext: AsyncGenerator<Uint8Array, void, undefined>
}> {
  const reader = new ByteReader(ciphertext)
  try {
    const header = await parseHeader(reader)
    const { suite, stanzas } = header
    if (!suites.includes(suite)) throw refused(`the cipher ${suite} is not for this kind of key`)
    if (!isAvailable(suite)) throw refused(missingText(suite))
    const fileKey = await findFileKey(identities, stanzas)
    try {
      checkMac(header, fileKey)
      const nonce = await reader.read(PAYLOAD_NONCE_BYTES)
      if (nonce.length < PAYLOAD_NONCE_BYTES) {
        throw new ContainerError('header', 'the file ends before its payload')
      }
      const plaintext = openChunks(reader, chunkCipher(suite, fileKey, nonce))
      return { suite, stanzas, id: headerId(header), plaintext }
    } finally {
      fileKey.fill(0)
    }
  } catch (error) {
    await reader.close()
    throw error
  }
}

/** What a file is, without keys. The MAC is not checked, since only the file key can: take nothing here for true. */
export async function readHeader(
  ciphertext: Bytes,
): Promise<{ readonly suite: Suite; readonly stanzas: readonly Stanza[] }> {
  const reader = new ByteReader(ciphertext)
  try {
    const { suite, stanzas } = await parseHeader(reader)
    return { suite, stanzas }
  } finally {
    await reader.close()
  }
}

function refused(reason: string): ContainerError {
  return new ContainerError('header', reason, 'crypto/unsupported')
}

async function findFileKey(
  identities: readonly Identity[],
  stanzas: readonly Stanza[],
): Promise<Uint8Array> {
  for (const identity of identities) {
    const fileKey = await identity.unwrap(stanzas)
    if (fileKey === undefined) continue
    if (fileKey.length === FILE_KEY_BYTES) return fileKey
    throw new ContainerError('header', 'the file key has a wrong length')
  }
  throw new ContainerError('match', 'no identity here opens this file')
}
