// Identity keys from master keys that a test holds.
import type { Clock } from '../../lib/clock.ts'
import type { SecretBytes } from '../../lib/crypto/secret-bytes.ts'
import { IDENTITY_DST } from '../../lib/ibe/boneh-franklin.ts'
import type { Ibe } from '../../lib/ibe/ibe.ts'
import {
  createMasterKeySource,
  type MasterKey,
  type MasterKeySource,
} from '../../lib/ibe/key-source.ts'

const SERIALS = [4_294_967_295, 7, 4, 3, 2, 1, 0]

/** `find` is asked for each serial that the tests use. */
export function keysOf(
  ibe: Pick<Ibe, 'extract'>,
  clock: Clock,
  find: (domain: string, n: number) => SecretBytes | undefined | Promise<SecretBytes | undefined>,
): MasterKeySource {
  const extract = (key: SecretBytes, identity: string): Promise<SecretBytes> =>
    ibe.extract(key, identity, IDENTITY_DST)
  return createMasterKeySource({
    clock,
    extract: { bf: extract, cc: extract, bb2: extract },
    masterKeys: async (domain) => {
      const found: MasterKey[] = []
      for (const n of SERIALS) {
        const masterKey = await find(domain, n)
        if (masterKey !== undefined) found.push({ n, period: 'month', masterKey })
      }
      return found
    },
  })
}
