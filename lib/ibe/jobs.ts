// What the workers do for this scheme. Everything here blocks, and wipes the secrets that it was given.
import { randomBytes } from 'node:crypto'
import { createPreparedCache } from '../crypto/prepared-cache.ts'
import type { Bls12381 } from '../crypto/mcl.ts'
import { PermError } from '../errors.ts'
import { decryptError, hashIdentity, KEK_BYTES, openKek, sealKek } from './boneh-franklin.ts'
import {
  extract,
  generateMasterKey,
  isIdentityKey,
  publicKey,
  type IdentityKeyQuestion,
} from './kgc.ts'
import { createRecordJobs, type RecordJobs } from './record-signature.ts'
import { createSignatureJobs, type SignatureJobs } from './signature/jobs.ts'

export interface IbeJobs extends RecordJobs, SignatureJobs {
  readonly generateMasterKey: (args: undefined) => Uint8Array
  readonly publicKey: (args: { masterKey: Uint8Array }) => Uint8Array
  /** Whether these are 96 bytes of a point of the subgroup other than infinity. */
  readonly checkPublicKey: (args: { publicKey: Uint8Array }) => boolean
  readonly extract: (args: { masterKey: Uint8Array; identity: string; dst: string }) => Uint8Array
  readonly checkIdentityKey: (args: IdentityKeyQuestion) => boolean
  readonly encapsulate: (args: { publicKey: Uint8Array; identity: string }) => Encapsulated
  readonly decapsulate: (args: { identityKey: Uint8Array; encapsulation: Uint8Array }) => Uint8Array
}

export interface Encapsulated {
  readonly kek: Uint8Array
  readonly encapsulation: Uint8Array
}

const PREPARED_KEYS = 64

export function createJobs(curve: Bls12381): IbeJobs {
  const prepared = createPreparedCache(curve, PREPARED_KEYS)
  return {
    ...createRecordJobs(curve),
    ...createSignatureJobs(curve, prepared),
    generateMasterKey: () => generateMasterKey(curve),
    publicKey: ({ masterKey }) => wiping(masterKey, () => publicKey(curve, masterKey)),
    checkPublicKey: (args) => curve.parseG2(args.publicKey) !== undefined,
    extract: ({ masterKey, identity, dst }) =>
      wiping(masterKey, () => extract(curve, masterKey, identity, dst)),
    checkIdentityKey: (question) =>
      wiping(question.identityKey, () => isIdentityKey(curve, prepared, question)),
    encapsulate({ publicKey, identity }) {
      const lines = prepared.get(publicKey)
      if (lines === undefined) {
        throw new PermError('ibe/parameters', 'P is not a point of the subgroup')
      }
      const kek = randomBytes(KEK_BYTES)
      const encapsulation = sealKek(curve, {
        pairWithPublicKey: (point) => curve.pairingPrepared(point, lines),
        identityPoint: hashIdentity(curve, identity),
        kek,
        sigma: randomBytes(KEK_BYTES),
      })
      return { kek, encapsulation }
    },
    decapsulate: ({ identityKey, encapsulation }) =>
      wiping(identityKey, () => {
        const key = curve.parseG1(identityKey)
        if (key === undefined) throw decryptError()
        return openKek(curve, key, encapsulation)
      }),
  }
}

function wiping<T>(secret: Uint8Array, use: () => T): T {
  try {
    return use()
  } finally {
    secret.fill(0)
  }
}
