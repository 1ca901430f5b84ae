// A format of keys for tests of where keys come from: a line each, `key FINGERPRINT ADDRESSES EXPIRY`.
// Of the fingerprint `aa/2` the `aa` lasts.
import { PermError } from '../../lib/errors.ts'
import type { KeyFormat, KeyKind, PublicKey } from '../../lib/mail/correspondent-keys.ts'

export function toyKey(fingerprint: string, addresses = '-', expires = '-'): string {
  return `key ${fingerprint} ${addresses} ${expires}\n`
}

export function toyBytes(...keys: readonly string[]): Uint8Array {
  return new TextEncoder().encode(keys.join(''))
}

export function toyFormat(kind: KeyKind): KeyFormat {
  return {
    kind,
    async read(bytes) {
      const lines = Buffer.from(bytes).toString('latin1').split('\n')
      return lines.filter((line) => line !== '').map((line) => parseLine(line))
    },
  }
}

function parseLine(line: string): PublicKey {
  const [word, fingerprint = '', addresses = '-', expires = '-'] = line.split(' ')
  if (word !== 'key') throw new PermError('openpgp/key', 'no key')
  return {
    fingerprint,
    ...(fingerprint.includes('/') && { lasting: fingerprint.replace(/\/.*$/, '') }),
    bytes: toyBytes(`${line}\n`),
    addresses: addresses === '-' ? [] : addresses.split(','),
    ...(expires !== '-' && { expires }),
  }
}
