// `hisho/psk`: a key that two sites share. docs/formats.md section 5.
import { randomBytes } from 'node:crypto'
import { openFileKey, SALT_BYTES, sealFileKey } from './sealed-key.ts'
import { decodeArgument, encodeBase64, stanzasOfType } from './stanza.ts'
import type { Identity, Recipient } from './stanza.ts'

export const PSK_STANZA_TYPE = 'hisho/psk'
const TYPE = PSK_STANZA_TYPE
const MIN_KEY_BYTES = 32

/** The key id is written in clear, in printable ASCII without spaces. The key stays the caller's, and is not a passphrase. */
export function pskRecipient(keyId: string, key: Uint8Array): Recipient {
  if (key.length < MIN_KEY_BYTES) throw new RangeError('a shared key has at least 32 bytes')
  return {
    async wrap(fileKey) {
      const salt = new Uint8Array(randomBytes(SALT_BYTES))
      const args = [keyId, encodeBase64(salt)] as const
      return [{ type: TYPE, args, body: sealFileKey(key, salt, TYPE, args, fileKey) }]
    },
  }
}

/** Several sites may be asked for in one file: every stanza whose key id is known is tried. */
export function pskIdentity(
  lookup: (keyId: string) => Uint8Array | undefined | Promise<Uint8Array | undefined>,
): Identity {
  return {
    async unwrap(stanzas) {
      const candidates = stanzasOfType(stanzas, TYPE, 2).map(({ args, body }) => {
        const [keyId = '', saltText = ''] = args
        return { keyId, saltText, salt: decodeArgument(saltText, SALT_BYTES), body }
      })
      for (const { keyId, saltText, salt, body } of candidates) {
        const key = await lookup(keyId)
        if (key === undefined) continue
        const fileKey = openFileKey(key, salt, TYPE, [keyId, saltText], body)
        if (fileKey !== undefined) return fileKey
      }
      return undefined
    },
  }
}
