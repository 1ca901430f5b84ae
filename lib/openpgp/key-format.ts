// OpenPGP keys of others, for whatever looks for keys.
import type { KeyFormat } from '../mail/correspondent-keys.ts'
import { HishoError } from '../errors.ts'
import type { OpenPgpPool } from './openpgp.ts'

export interface OpenPgpKeyFormatOptions {
  readonly pool: OpenPgpPool
  readonly normalizeAddress: (address: string) => string
}

/** `read` gives revoked and expired ones too: what cannot be used is found out where one is to be used. */
export function createOpenPgpKeyFormat(options: OpenPgpKeyFormatOptions): KeyFormat {
  const { pool, normalizeAddress } = options
  return {
    kind: 'openpgp',
    async read(bytes) {
      const { found } = await pool.run('readKeys', { keys: bytes })
      return found.map(({ fingerprint, certificate, addresses, expires }) => ({
        fingerprint,
        bytes: certificate,
        addresses: normalized(addresses, normalizeAddress),
        ...(expires !== undefined && { expires }),
      }))
    },
  }
}

function normalized(
  addresses: readonly string[],
  normalizeAddress: (address: string) => string,
): string[] {
  return addresses.flatMap((address) => {
    try {
      return [normalizeAddress(address)]
    } catch (error) {
      if (error instanceof HishoError) return [] // no mail could go to it
      throw error
    }
  })
}
