// Keys as the library has read and checked them, remembered by a thread: to read one again takes longer than to use it.
import { createHash } from 'node:crypto'
import { readPrivateKey, type Key, type PrivateKey } from 'openpgp'
import { parse } from './certificates.ts'

const MOST_REMEMBERED = 200

/** What the library finds out of a key's signatures it keeps in the key; dates it looks at each time. */
export interface ParsedKeys {
  /** All in these. PermError openpgp/key. */
  certificates(certificates: readonly Uint8Array[]): Promise<readonly Key[]>
  secretKeys(secretKeys: readonly Uint8Array[]): Promise<readonly PrivateKey[]>
}

export function createParsedKeys(): ParsedKeys {
  const certificates = remembered(parse)
  const secretKeys = remembered((binaryKey) => readPrivateKey({ binaryKey }))
  return {
    certificates: async (all) => (await Promise.all(all.map(certificates))).flat(),
    secretKeys: (all) => Promise.all(all.map(secretKeys)),
  }
}

function remembered<T>(read: (bytes: Uint8Array) => Promise<T>): (bytes: Uint8Array) => Promise<T> {
  const known = new Map<string, T>()
  return async (bytes) => {
    const name = createHash('sha256').update(bytes).digest('base64')
    const held = known.get(name) ?? (await read(Uint8Array.from(bytes))) // ours are wiped
    known.delete(name)
    known.set(name, held) // the last used is the last
    const [oldest] = known.keys()
    if (known.size > MOST_REMEMBERED && oldest !== undefined) known.delete(oldest)
    return held
  }
}
