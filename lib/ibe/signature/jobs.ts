// What the workers do for signatures. Everything here blocks, and wipes the secrets that it was given.
import type { Bls12381, PointG1 } from '../../crypto/mcl.ts'
import type { PreparedCache } from '../../crypto/prepared-cache.ts'
import { PermError } from '../../errors.ts'
import {
  hashSigner,
  parseSignature,
  sign,
  SIGNATURE_BYTES,
  verify,
  verifyAll,
} from './cha-cheon.ts'

/** SHA-256 of what is signed. */
export const DIGEST_BYTES = 32

export interface SignatureJobs {
  readonly sign: (args: SignArgs) => Uint8Array
  /** 1 for each signature that is good, 0 for the others. PermError ibe/parameters: the public key is no point. */
  readonly verify: (args: VerifyArgs) => Uint8Array
}

export interface SignArgs {
  readonly identityKey: Uint8Array
  readonly identity: string
  readonly digest: Uint8Array
}

/** Signatures under one public key: one identity, digest and signature for each, the bytes one after the other. */
export interface VerifyArgs {
  readonly publicKey: Uint8Array
  readonly identities: readonly string[]
  readonly digests: Uint8Array
  readonly signatures: Uint8Array
}

const SIGNERS = 1024

export function createSignatureJobs(curve: Bls12381, prepared: PreparedCache): SignatureJobs {
  const signers = createSignerCache(curve)
  const generator = curve.formatG2(curve.generatorG2)
  return {
    sign({ identityKey, identity, digest }) {
      try {
        const key = curve.parseKnownG1(identityKey)
        if (key === undefined)
          throw new PermError('vault/malformed', 'identity key: not a point of the subgroup')
        const signature = sign(curve, {
          identityKey: key,
          keyBytes: identityKey,
          signer: signers(identity),
          digest,
        })
        key.clear()
        return signature
      } finally {
        identityKey.fill(0)
      }
    },
    verify({ publicKey, identities, digests, signatures }) {
      const lines = prepared.get(publicKey)
      const generatorLines = prepared.get(generator)
      if (lines === undefined || generatorLines === undefined)
        throw new PermError('ibe/parameters', 'P is not a point of the subgroup')
      const key = { generator: generatorLines, publicKey: lines }
      const parsed = identities.map((identity, at) =>
        parseSignature(
          curve,
          slice(signatures, at, SIGNATURE_BYTES),
          slice(digests, at, DIGEST_BYTES),
          signers(identity),
        ),
      )
      const candidates = parsed.filter((signature) => signature !== undefined)
      const isBatch = candidates.length > 1
      const allGood = isBatch && verifyAll(curve, key, candidates)
      return Uint8Array.from(parsed, (signature) =>
        Number(signature !== undefined && (allGood || verify(curve, key, signature))),
      )
    },
  }
}

function slice(bytes: Uint8Array, at: number, length: number): Uint8Array {
  return bytes.subarray(at * length, (at + 1) * length)
}

/** The points of those who lately signed, the least recently used forgotten first. */
function createSignerCache(curve: Bls12381): (identity: string) => PointG1 {
  const kept = new Map<string, PointG1>()
  return (identity) => {
    const point = kept.get(identity) ?? hashSigner(curve, identity)
    kept.delete(identity)
    kept.set(identity, point)
    const [oldest] = kept
    if (kept.size > SIGNERS && oldest !== undefined) kept.delete(oldest[0])
    return point
  }
}
