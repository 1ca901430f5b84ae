// Large messages: what is done to them in steps and in place, at the borders of all of these. The library is the other side.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { decrypt, readKey, readMessage, readPrivateKey, type PrivateKey } from 'openpgp'
import type { OpenPgpPool } from '../../lib/openpgp/openpgp.ts'
import { ALICE, BOB, newKey, startPool, type TestKey } from './world.ts'

const STEP = 64 * 1024
const LARGE = 1024 * 1024
/** Lengths that are written in one, two and five octets, and those at which work is cut into steps. */
const SIZES = [0, 1, 150, 180, 8100, 8384, STEP, LARGE, LARGE + STEP, 2 * LARGE + 3 * STEP].flatMap(
  (size) => [size - 1, size, size + 1].filter((one) => one >= 0),
)

describe('large OpenPGP messages', () => {
  let pool: OpenPgpPool
  let alice: TestKey
  let bob: TestKey
  let bobKey: PrivateKey
  before(async () => {
    pool = startPool()
    alice = await newKey(pool, ALICE)
    bob = await newKey(pool, BOB)
    bobKey = await readPrivateKey({ binaryKey: bob.secret })
  })
  after(() => pool?.close())

  it('are sealed and signed so that the library reads them, whatever their size', async () => {
    const verificationKeys = await readKey({ binaryKey: alice.certificate })
    for (const size of SIZES) {
      const content = randomBytes(size)
      const { packets } = await pool.run('seal', {
        content,
        certificates: [bob.certificate],
        secretKeys: [alice.secret],
      })
      const { data, signatures } = await decrypt({
        message: await readMessage({ binaryMessage: Buffer.concat(packets) }),
        decryptionKeys: bobKey,
        verificationKeys,
        format: 'binary',
      })
      assert.ok(content.equals(data), `${size}`)
      assert.equal(signatures.length, 1)
      await signatures[0]?.verified
    }
  })
})
