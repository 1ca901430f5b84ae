// The scrypt recipient type, for passphrases: c2sp.org/age, "The scrypt recipient type", and RFC 7914.
import { randomBytes, scrypt } from 'node:crypto'
import { ContainerError } from './container-error.ts'
import { openUnder, SALT_BYTES, sealUnder, WRAP_KEY_BYTES } from './sealed-key.ts'
import { decodeArgument, encodeBase64, stanzasOfType } from './stanza.ts'
import type { Identity, Recipient } from './stanza.ts'

const TYPE = 'scrypt'
const LABEL = 'age-encryption.org/v1/scrypt'
const BLOCK_SIZE = 8

const DEFAULT_WORK_FACTOR_LOG2 = 18 // as the reference implementation: a second or less, 256 MiB
// A file chooses its own work factor, and time and memory double with each step. 20 is two steps above what
// `age -p` writes and costs 1 GiB; the reference implementation's 22 would let a file take 4 GiB of a server.
const MAX_WORK_FACTOR_LOG2 = 20

/** The passphrase stays the caller's. */
export function scryptRecipient(
  passphrase: Uint8Array,
  workFactorLog2: number = DEFAULT_WORK_FACTOR_LOG2,
): Recipient {
  const max = MAX_WORK_FACTOR_LOG2 // what we would not open by default we do not write
  if (!Number.isInteger(workFactorLog2) || workFactorLog2 < 1 || workFactorLog2 > max) {
    throw new RangeError(`the exponent of the work factor is a whole number from 1 to ${max}`)
  }
  return {
    async wrap(fileKey) {
      const salt = new Uint8Array(randomBytes(SALT_BYTES))
      const wrapKey = await deriveWrapKey(passphrase, salt, workFactorLog2)
      const args = [encodeBase64(salt), String(workFactorLog2)]
      return [{ type: TYPE, args, body: sealUnder(wrapKey, fileKey) }]
    },
  }
}

export function scryptIdentity(
  passphrase: Uint8Array,
  maxWorkFactorLog2: number = MAX_WORK_FACTOR_LOG2,
): Identity {
  return {
    async unwrap(stanzas) {
      const [stanza] = stanzasOfType(stanzas, TYPE, 2) // one at most: the header holds no second
      if (stanza === undefined) return undefined
      const [saltText = '', workFactorText = ''] = stanza.args
      const salt = decodeArgument(saltText, SALT_BYTES)
      if (!/^[1-9][0-9]*$/.test(workFactorText)) {
        throw new ContainerError('header', 'the scrypt work factor is not a decimal number')
      }
      const workFactorLog2 = Number(workFactorText)
      if (workFactorLog2 > maxWorkFactorLog2) {
        const limit = `above our limit of ${maxWorkFactorLog2}`
        throw new ContainerError('header', `the scrypt work factor is ${limit}`)
      }
      return openUnder(await deriveWrapKey(passphrase, salt, workFactorLog2), stanza.body)
    },
  }
}

/** In the thread pool: 2^18 takes most of a second. */
function deriveWrapKey(
  passphrase: Uint8Array,
  salt: Uint8Array,
  workFactorLog2: number,
): Promise<Uint8Array> {
  const cost = 2 ** workFactorLog2
  const maxmem = 128 * BLOCK_SIZE * (cost + 16) // RFC 7914 section 2, and some room for OpenSSL
  const labelled = Buffer.concat([new TextEncoder().encode(LABEL), salt])
  const options = { cost, blockSize: BLOCK_SIZE, parallelization: 1, maxmem }
  return new Promise((resolve, reject) => {
    scrypt(passphrase, labelled, WRAP_KEY_BYTES, options, (error, key) => {
      if (error) reject(error)
      else resolve(new Uint8Array(key.buffer, key.byteOffset, key.length))
    })
  })
}
