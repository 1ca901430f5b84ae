// Opens a message of version 1. It names neither identity nor serial: each key that its recipients may have is tried.
import { ByteReader } from '../../container/byte-reader.ts'
import type { SecretBytes } from '../../crypto/secret-bytes.ts'
import { PermError, TempError } from '../../errors.ts'
import { formatQuoted } from '../../mail/header.ts'
import { parseIbemail } from '../../mail/ibemail-encrypted.ts'
import { readMessage, type Message } from '../../mail/message.ts'
import type { Opening } from '../../mail/scheme.ts'
import type { KeySource } from '../key-source.ts'
import type { Bb2 } from './bb2.ts'
import { decryptError } from './boneh-boyen.ts'
import {
  guessStart,
  HEAD_BYTES,
  headId,
  openPayload,
  openWhole,
  parseHead,
  type Head,
} from './payload.ts'

export interface OpeningOptions {
  readonly bb2: Pick<Bb2, 'decapsulate'>
  readonly keys: KeySource
}

/** Each costs an extraction and a pairing. */
const CANDIDATES_MAX = 8
/** What is not longer is judged by its tag at once, whatever the number of keys. */
const START_BYTES = 64 * 1024
const TEXT_BYTES = 1024

interface Candidate {
  readonly address: string
  readonly localPart: string
  readonly domain: string
  readonly n: number
}

/** A candidate with the key that its identity key gives, right or wrong. */
interface Keyed extends Candidate {
  readonly key: SecretBytes
}

export async function openFor(
  message: Message,
  addresses: readonly string[],
  options: OpeningOptions,
): Promise<Opening> {
  const reader = new ByteReader(parseIbemail(message))
  try {
    const head = parseHead(await reader.read(HEAD_BYTES))
    const keyed = await keysFor(await candidatesFor(addresses, options.keys), head, options)
    if (keyed.length === 0) {
      await reader.close()
      return { status: 'closed', reason: 'no key of bb2 for these recipients' }
    }
    return await openWithOne(keyed, head, reader)
  } catch (error) {
    await reader.close()
    if (!(error instanceof PermError)) throw error
    // What is wrong with our own keys is not the message's fault: it waits until they are mended.
    if (error.code === 'vault/malformed')
      throw new TempError(error.code, error.message, { cause: error })
    return { status: 'closed', reason: `${error.code}: ${error.message}` }
  }
}

/** The newest generation of every address first. */
async function candidatesFor(
  addresses: readonly string[],
  keys: KeySource,
): Promise<readonly Candidate[]> {
  const lists = await Promise.all(
    addresses.map(async (address) => {
      const at = address.lastIndexOf('@')
      const [localPart, domain] = [address.slice(0, at), address.slice(at + 1)]
      const generations = await keys.generations(domain, 'bb2')
      return generations.map(({ n }, age) => ({ address, localPart, domain, n, age }))
    }),
  )
  return lists
    .flat()
    .toSorted((one, other) => one.age - other.age)
    .slice(0, CANDIDATES_MAX)
}

async function keysFor(
  candidates: readonly Candidate[],
  head: Head,
  { bb2, keys }: OpeningOptions,
): Promise<readonly Keyed[]> {
  const keyed: Keyed[] = []
  try {
    for (const candidate of candidates) {
      const { domain, n, localPart } = candidate
      const identityKey = await keys.identityKey({ scheme: 'bb2', domain, n, identity: localPart })
      if (identityKey === undefined) continue
      try {
        keyed.push({ ...candidate, key: await bb2.decapsulate(identityKey, head.encapsulation) })
      } finally {
        identityKey.wipe()
      }
    }
    return keyed
  } catch (error) {
    wipeAll(keyed)
    throw error
  }
}

async function openWithOne(
  keyed: readonly Keyed[],
  head: Head,
  reader: ByteReader,
): Promise<Opening> {
  try {
    const start = Uint8Array.from(await reader.read(START_BYTES))
    if (await reader.atEnd()) {
      for (const one of keyed) {
        const plaintext = tryWhole(one, head, start)
        if (plaintext !== undefined) return opened(one, head, await readMessage([plaintext]))
      }
      throw decryptError()
    }
    const best = mostLikeText(keyed, head, start)
    const plaintext = openAll(best.key.copy(), head, start, reader)
    return opened(best, head, await readMessage(plaintext))
  } finally {
    wipeAll(keyed)
  }
}

function tryWhole({ key }: Keyed, head: Head, ciphertext: Uint8Array): Uint8Array | undefined {
  try {
    return openWhole(key.bytes, head, ciphertext)
  } catch (error) {
    if (error instanceof PermError) return undefined
    throw error
  }
}

/** A message begins with header fields; a wrong key makes noise of them, of which three bytes in eight are text. */
function mostLikeText(keyed: readonly Keyed[], head: Head, start: Uint8Array): Keyed {
  const ranked = keyed.map((one) => {
    const text = guessStart(one.key.bytes, head, start.subarray(0, TEXT_BYTES))
    return { one, score: text.filter(isText).length }
  })
  return ranked.reduce((best, next) => (next.score > best.score ? next : best)).one
}

function isText(byte: number): boolean {
  return (byte >= 0x20 && byte < 0x7f) || byte === 0x09 || byte === 0x0a || byte === 0x0d
}

async function* openAll(
  key: SecretBytes,
  head: Head,
  start: Uint8Array,
  reader: ByteReader,
): AsyncGenerator<Uint8Array> {
  async function* ciphertext(): AsyncGenerator<Uint8Array> {
    yield start
    yield* reader.rest()
  }
  try {
    yield* openPayload(key.bytes, head, ciphertext())
  } finally {
    key.wipe()
  }
}

function opened({ address, localPart, n }: Candidate, head: Head, message: Message): Opening {
  return {
    status: 'opened',
    addresses: [address],
    description: `ibe-bb2; n=${n}; identity=${formatQuoted(localPart)}`,
    sealedKeyId: headId(head),
    message,
  }
}

function wipeAll(keyed: readonly Keyed[]): void {
  for (const { key } of keyed) key.wipe()
}
