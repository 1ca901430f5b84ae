import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import type { Stanza } from '../../lib/container/stanza.ts'
import { SecretBytes } from '../../lib/crypto/secret-bytes.ts'
import type { WorkerPool } from '../../lib/crypto/pool.ts'
import { PermError } from '../../lib/errors.ts'
import { createIbe, createIbePool } from '../../lib/ibe/ibe.ts'
import type { Ibe } from '../../lib/ibe/ibe.ts'
import type { IbeJobs } from '../../lib/ibe/jobs.ts'
import type { MasterKeySource } from '../../lib/ibe/key-source.ts'
import type { Parameters } from '../../lib/ibe/parameters.ts'
import { bfIdentity, bfRecipient, formatBfStanza, parseBfStanza } from '../../lib/ibe/stanza.ts'
import { fakeClock } from './fake-clock.ts'
import { keysOf } from './keys.ts'
import { fromHex, readVectors, toHex } from '../support/vectors.ts'

const { cases } = readVectors<{ cases: readonly Record<string, string>[] }>('ibe-bf')
const good = cases.filter((one) => one['expect'] === 'opens')
const isDecryptError = { code: 'ibe/decrypt', message: 'the encapsulated key does not open' }
const isMalformed = { code: 'container/malformed' }
const ALICE = 'alice@b.example#2026-11'

function stanzaOf(vector: Record<string, string>): Stanza {
  const [type, ...args] = vector['stanza']!.split(' ')
  return { type: type!, args, body: Uint8Array.from(Buffer.from(vector['body']!, 'base64')) }
}

describe('hisho/bf stanzas', () => {
  let pool: WorkerPool<IbeJobs>
  let jobs = 0
  let ibe: Ibe
  let masterKey: SecretBytes
  let parameters: Parameters<'bf'>
  const clock = fakeClock()
  let keys: MasterKeySource
  before(async () => {
    pool = createIbePool({ size: 2, queueLimit: 100 })
    const counting: WorkerPool<IbeJobs> = {
      ...pool,
      queued: 0,
      threadIds: [],
      run: (job, args) => {
        jobs++
        return pool.run(job, args)
      },
    }
    ibe = createIbe({ pool: counting, clock })
    masterKey = await ibe.generateMasterKey()
    keys = keysOf(ibe, clock, () => masterKey)
    const publicKey = await ibe.publicKey(masterKey)
    parameters = { version: '2.0', scheme: 'bf', n: 3, period: 'month', publicKey }
  })
  after(async () => {
    ibe.close()
    await pool.close()
  })
  const wrap = (fileKey: Uint8Array, identity = ALICE): Promise<readonly Stanza[]> =>
    bfRecipient({ ibe, parameters, identity }).wrap(fileKey)
  const reader = (more: Partial<Parameters_> = {}) =>
    bfIdentity({ ibe, keys, accepts: () => true, ...more })
  type Parameters_ = Omit<globalThis.Parameters<typeof bfIdentity>[0], 'ibe'>

  for (const vector of good) {
    it(`vector: ${vector['name']}`, async () => {
      const stanza = stanzaOf(vector)
      const read = parseBfStanza(stanza)
      assert.equal(read.identity, vector['identity'])
      assert.equal(read.n, vector['n'])
      const bytes = (field: string): Uint8Array => fromHex(vector[field]!)
      const key = new SecretBytes(bytes('master_key'))
      const opened = await reader({ keys: keysOf(ibe, clock, () => key) }).unwrap([stanza])
      assert.equal(toHex(opened!), vector['file_key'])
      const { n, identity, encapsulation, salt } = read
      const kek = bytes('kek')
      const written = formatBfStanza({ n, identity, encapsulation, salt, kek, fileKey: opened! })
      assert.deepEqual(written, stanza)
    })
  }

  it('open for the identity they were written to, and ask for the identity key of its domain and serial', async () => {
    const fileKey = randomBytes(16)
    const asked: unknown[] = []
    const identity = reader({
      keys: {
        identityKey: (request) => {
          asked.push(request)
          return keys.identityKey(request)
        },
      },
    })
    assert.equal(toHex((await identity.unwrap(await wrap(fileKey)))!), toHex(fileKey))
    assert.deepEqual(asked, [{ scheme: 'bf', domain: 'b.example', n: 3, identity: ALICE }])
  })

  it('with a KEK that is known cost no worker, on either side', async () => {
    const fileKey = randomBytes(16)
    await reader().unwrap(await wrap(fileKey, 'warm@b.example'))
    const before = jobs
    for (let count = 0; count < 50; count++) {
      const opened = await reader().unwrap(await wrap(fileKey, 'warm@b.example'))
      assert.equal(toHex(opened!), toHex(fileKey))
    }
    assert.equal(jobs, before)
  })

  it('for one identity share the encapsulation for ten minutes and never the salt', async () => {
    const one = parseBfStanza((await wrap(randomBytes(16)))[0]!)
    const other = parseBfStanza((await wrap(randomBytes(16)))[0]!)
    assert.deepEqual(one.encapsulation, other.encapsulation)
    assert.notDeepEqual(one.salt, other.salt)
    clock.passMs(600_000)
    const later = parseBfStanza((await wrap(randomBytes(16)))[0]!)
    assert.notDeepEqual(one.encapsulation, later.encapsulation)
    const bob = parseBfStanza((await wrap(randomBytes(16), 'bob@b.example'))[0]!)
    assert.notDeepEqual(bob.encapsulation, later.encapsulation)
  })

  it('are left alone if the identity is not accepted or there is no key, and say why', async () => {
    const stanzas = [
      ...(await wrap(randomBytes(16))),
      ...(await wrap(randomBytes(16), 'bob@b.example')),
    ]
    const skipped: string[] = []
    const before = jobs
    const identity = reader({
      accepts: (name) => name === ALICE,
      keys: keysOf(ibe, clock, () => undefined),
      onSkip: (reason, stanza) => skipped.push(`${reason} ${stanza.identity}`),
    })
    assert.equal(await identity.unwrap(stanzas), undefined)
    assert.deepEqual(skipped, [`no-key ${ALICE}`, 'not-accepted bob@b.example'])
    assert.equal(jobs, before, 'nothing was computed')
  })

  it('do not open with another master key, serial or identity, a KEK in the cache or not', async () => {
    const [stanza] = await wrap(randomBytes(16))
    assert.ok(await reader().unwrap([stanza!]))
    const other = await ibe.generateMasterKey()
    await assert.rejects(
      reader({ keys: keysOf(ibe, clock, () => other) }).unwrap([stanza!]),
      isDecryptError,
    )
    const changed = [
      ['4', ...stanza!.args.slice(1)],
      ['3', Buffer.from('bob@b.example').toString('base64url'), ...stanza!.args.slice(2)],
    ]
    for (const args of changed) {
      await assert.rejects(reader().unwrap([{ ...stanza!, args }]), isDecryptError)
    }
  })

  it('do not open with any one bit changed', async () => {
    const [stanza] = await wrap(randomBytes(16))
    const read = parseBfStanza(stanza!)
    const flip = (bytes: Uint8Array, bit: number): Uint8Array =>
      Uint8Array.from(bytes, (byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte))
    const un = (bytes: Uint8Array): string =>
      Buffer.from(bytes).toString('base64').replace(/=+$/, '')
    const [n, name] = stanza!.args as [string, string]
    const property = fc.asyncProperty(fc.nat(1279), fc.nat(127), fc.nat(255), async (e, s, b) => {
      const changed: Stanza[] = [
        { ...stanza!, args: [n, name, un(flip(read.encapsulation, e)), un(read.salt)] },
        { ...stanza!, args: [n, name, un(read.encapsulation), un(flip(read.salt, s))] },
        { ...stanza!, body: flip(stanza!.body, b) },
      ]
      for (const one of changed) await assert.rejects(reader().unwrap([one]), isDecryptError)
    })
    await fc.assert(property, { numRuns: 30 })
  })

  it('that do not open do not hide one that does, but only so many are tried', async () => {
    const fileKey = randomBytes(16)
    const [stanza] = await wrap(fileKey)
    const bad = { ...stanza!, body: new Uint8Array(32) }
    const seven = Array.from({ length: 7 }, () => bad)
    assert.equal(toHex((await reader().unwrap([...seven, stanza!]))!), toHex(fileKey))
    await assert.rejects(reader().unwrap([...seven, bad, stanza!]), isDecryptError)
  })

  it('of other types are ignored, malformed ones of ours refused even if another would open', async () => {
    const [stanza] = await wrap(randomBytes(16))
    const other: Stanza = { type: 'X25519', args: ['x'], body: new Uint8Array(0) }
    assert.equal(await reader().unwrap([other]), undefined)
    const [n, name, encapsulation, salt] = stanza!.args as [string, string, string, string]
    const b64url = (text: string | Uint8Array): string => Buffer.from(text).toString('base64url')
    const malformed: readonly (readonly string[])[] = [
      [n, name, encapsulation],
      [n, name, encapsulation, salt, ''],
      [`0${n}`, name, encapsulation, salt],
      ['', name, encapsulation, salt],
      ['4294967296', name, encapsulation, salt],
      [n, `${name}=`, encapsulation, salt],
      [n, b64url('Alice@b.example'), encapsulation, salt],
      [n, b64url('no address'), encapsulation, salt],
      [n, b64url(Uint8Array.of(0xff, 0x40, 0x61)), encapsulation, salt],
      [n, b64url('\ufeffalice@b.example\n'), encapsulation, salt],
      [n, name, encapsulation.slice(4), salt],
      [n, name, `${encapsulation}AAAA`, salt],
      [n, name, encapsulation, `${salt}==`],
      [n, name, encapsulation, salt.slice(2)],
    ]
    for (const args of malformed) {
      await assert.rejects(reader().unwrap([stanza!, { ...stanza!, args }]), isMalformed)
    }
    const short = { ...stanza!, body: new Uint8Array(31) }
    await assert.rejects(reader().unwrap([stanza!, short]), isMalformed)
  })

  it('nothing but PermError is thrown for any arguments', async () => {
    const property = fc.asyncProperty(
      fc.array(fc.string({ unit: 'binary' }), { maxLength: 6 }),
      fc.uint8Array({ maxLength: 40 }),
      async (args, body) => {
        try {
          await reader().unwrap([{ type: 'hisho/bf', args, body }])
        } catch (error) {
          assert.ok(error instanceof PermError, String(error))
        }
      },
    )
    await fc.assert(property)
  })

  it('are not made under a public key that is no point, or for what is no identity', async () => {
    const off = Uint8Array.from(parameters.publicKey, (byte, at) => (at > 50 ? byte ^ 1 : byte))
    const recipient = bfRecipient({
      ibe,
      parameters: { ...parameters, publicKey: off },
      identity: ALICE,
    })
    await assert.rejects(recipient.wrap(randomBytes(16)), { code: 'ibe/parameters' })
    assert.equal(await ibe.checkPublicKey(off), false)
    assert.equal(await ibe.checkPublicKey(parameters.publicKey), true)
    assert.throws(() => bfRecipient({ ibe, parameters, identity: 'Alice@b.example' }), PermError)
  })

  it('opened fifty at once from fifty senders need one extraction and fifty pairings', async () => {
    const senders = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const sender = createIbe({ pool, clock })
        const recipient = bfRecipient({ ibe: sender, parameters, identity: 'carol@b.example' })
        const [stanza] = await recipient.wrap(new Uint8Array(16).fill(7))
        sender.close()
        return stanza!
      }),
    )
    const before = jobs
    const opened = await Promise.all(senders.map((stanza) => reader().unwrap([stanza])))
    for (const one of opened) assert.deepEqual(one, new Uint8Array(16).fill(7))
    assert.equal(jobs - before, 51)
  })
})
