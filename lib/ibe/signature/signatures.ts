// Identity-based signatures as a way of signing mail: keys from a key source, parameters from a directory.
import type { Clock } from '../../clock.ts'
import type { Signatures } from '../../mail/signature.ts'
import type { KeySource } from '../key-source.ts'
import type { SignatureEngine } from './engine.ts'
import { LIFETIME_LIMIT_SECONDS } from './field.ts'
import type { OwnGenerations } from './own-generations.ts'
import { signMessage } from './sign.ts'
import { verifyMessage, type SignatureDirectory } from './verify.ts'

export interface IbeSignaturesOptions {
  readonly engine: SignatureEngine
  readonly keys: KeySource
  readonly directory: SignatureDirectory
  /** What our own domains publish. */
  readonly ownGenerations: OwnGenerations
  readonly clock: Clock
  /** How long a signature is good, at most 30 days. A week, in which mail that has to wait arrives or comes back. */
  readonly lifetimeSeconds?: number
  readonly log: (level: 'warn', message: string) => void
}

const LIFETIME_SECONDS = 7 * 86_400

export function createIbeSignatures(options: IbeSignaturesOptions): Signatures {
  const { keys, directory, ownGenerations, lifetimeSeconds = LIFETIME_SECONDS } = options
  if (lifetimeSeconds < 1 || lifetimeSeconds > LIFETIME_LIMIT_SECONDS)
    throw new RangeError('a signature is good for 1 second to 30 days')
  return {
    async generationFor(domain) {
      const generations = await keys.generations(domain, 'cc')
      if (generations.length === 0) return undefined
      const published = await ownGenerations(domain)
      return generations
        .filter(({ n, period }) => published.some((one) => one.n === n && one.period === period))
        .toSorted((one, other) => other.n - one.n)[0]
    },
    sign: (message, address, generation) =>
      signMessage(message, address, generation, { ...options, lifetimeSeconds }),
    verify: (message, trust) => verifyMessage(message, trust, options),
    publishes: async (domain, trust) =>
      (await directory.publishedSerials(domain, trust)).length > 0,
  }
}
