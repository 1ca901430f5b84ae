import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { inflateSync } from 'node:zlib'
import * as kit from 'cctv-age'
import { readArmor } from '../../lib/container/armor.ts'
import { ContainerError, type ContainerPart } from '../../lib/container/container-error.ts'
import { open } from '../../lib/container/container.ts'
import { scryptIdentity } from '../../lib/container/scrypt.ts'
import { x25519Identity } from '../../lib/container/x25519.ts'
import { utf8 } from './files.ts'

interface Vector {
  readonly name: string
  readonly expect: string
  readonly payload: string | undefined
  readonly identities: readonly string[]
  readonly passphrases: readonly string[]
  readonly armored: boolean
  readonly file: Uint8Array
}

const EXPECT: Readonly<Record<ContainerPart, string>> = {
  armor: 'armor failure',
  header: 'header failure',
  hmac: 'HMAC failure',
  match: 'no match',
  payload: 'payload failure',
  key: 'key failure',
}

const NOTHING = createHash('sha256').digest('hex')

function parseVector(name: string, bytes: Uint8Array): Vector {
  const end = Buffer.from(bytes).indexOf('\n\n')
  const fields = new Map<string, string[]>()
  for (const line of Buffer.from(bytes.subarray(0, end)).toString('latin1').split('\n')) {
    const colon = line.indexOf(': ')
    const [key, value] = [line.slice(0, colon), line.slice(colon + 2)]
    fields.set(key, [...(fields.get(key) ?? []), value])
  }
  const file = bytes.subarray(end + 2)
  return {
    name,
    expect: fields.get('expect')?.[0] ?? 'nothing',
    payload: fields.get('payload')?.[0],
    identities: fields.get('identity') ?? [],
    passphrases: fields.get('passphrase') ?? [],
    armored: fields.has('armored'),
    file: fields.get('compressed')?.[0] === 'zlib' ? Uint8Array.from(inflateSync(file)) : file,
  }
}

/** How opening ended, and everything that was given out until then. */
async function run(vector: Vector): Promise<{ outcome: string; payload: string }> {
  const released = createHash('sha256')
  try {
    const identities = [
      ...vector.identities.filter((text) => !isHybrid(text)).map(x25519Identity),
      ...vector.passphrases.map((text) => scryptIdentity(utf8(text))),
    ]
    const file = vector.armored ? readArmor([vector.file]) : [vector.file]
    const { plaintext } = await open(identities, file)
    for await (const piece of plaintext) released.update(piece)
    return { outcome: 'success', payload: released.digest('hex') }
  } catch (error) {
    if (!(error instanceof ContainerError)) throw error
    return { outcome: EXPECT[error.part], payload: released.digest('hex') }
  }
}

/** The post-quantum type, which is not implemented here. */
function isHybrid(identity: string): boolean {
  return identity.startsWith('AGE-SECRET-KEY-PQ-1')
}

const vectors = Object.entries(kit)
  .filter(([, bytes]) => bytes instanceof Uint8Array)
  .map(([name, bytes]) => parseVector(name, bytes))
const supported = vectors.filter(({ identities }) => !identities.some(isHybrid))
const hybrid = vectors.filter(({ identities }) => identities.some(isHybrid))

describe('the public age test kit', () => {
  it('is here whole: 143 vectors, of which 124 are for what we implement', () => {
    assert.deepEqual([vectors.length, supported.length, hybrid.length], [143, 124, 19])
  })

  for (const vector of supported) {
    it(`${vector.name} ends in ${vector.expect}`, async () => {
      const { outcome, payload } = await run(vector)
      assert.equal(outcome, vector.expect)
      assert.equal(payload, vector.payload ?? NOTHING, 'what was given out')
    })
  }

  for (const vector of hybrid) {
    it(`${vector.name}, of a type we do not have, is refused`, async () => {
      const { outcome } = await run(vector)
      if (vector.expect === 'success') assert.equal(outcome, 'no match')
      else assert.ok([vector.expect, 'no match'].includes(outcome), outcome)
    })
  }
})
