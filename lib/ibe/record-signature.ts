// Signatures of parameter records by older generations of the same scheme, so that a rotation is known for what it is:
// BLS in G1 on BLS12-381. docs/formats.md, "Signatures of records". Blocks for milliseconds: run it in a worker.
import { hashToG1 } from '../crypto/hash-to-curve.ts'
import type { Bls12381 } from '../crypto/mcl.ts'
import { formatParameters, withoutSignatures, type Parameters } from './parameters.ts'
import { parseMasterKey } from './kgc.ts'

/** A tag of its own: no identity key can be taken for a signature of a record, nor the other way round. */
const RECORD_DST = 'HISHO-V2-RECORD-BLS12381G1_XMD:SHA-256_SSWU_RO_'

export interface RecordJobs {
  /** 48 bytes. PermError vault/malformed for what is no master key. */
  readonly signRecord: (args: { masterKey: Uint8Array; text: string }) => Uint8Array
  readonly verifyRecord: (args: {
    publicKey: Uint8Array
    text: string
    signature: Uint8Array
  }) => boolean
}

/** What is signed: the domain too, so that a record cannot be moved to another one. */
export function signedText(domain: string, parameters: Parameters): string {
  return `hisho-parameters\0${domain}\0${formatParameters(withoutSignatures(parameters))}`
}

export function createRecordJobs(curve: Bls12381): RecordJobs {
  return {
    signRecord({ masterKey, text }) {
      try {
        const scalar = parseMasterKey(curve, masterKey)
        const signature = curve.multiplyG1(hashText(curve, text), scalar)
        scalar.clear()
        return curve.formatG1(signature)
      } finally {
        masterKey.fill(0)
      }
    },
    verifyRecord({ publicKey, text, signature }) {
      const key = curve.parseG2(publicKey)
      const point = curve.parseG1(signature)
      if (key === undefined || point === undefined) return false
      const one = curve.formatGt(curve.pairing(point, curve.generatorG2))
      const other = curve.formatGt(curve.pairing(hashText(curve, text), key))
      return Buffer.from(one).equals(other)
    },
  }
}

function hashText(curve: Bls12381, text: string) {
  return hashToG1(curve, new TextEncoder().encode(text), RECORD_DST)
}
