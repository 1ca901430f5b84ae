// Payloads under other ciphers than age's: docs/formats.md section 5. Run with OpenSSL's legacy provider, or the weak ones are missing.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import fc from 'fast-check'
import { addressees, addresseesOf } from '../../lib/container/addressees.ts'
import { open, readHeader, seal } from '../../lib/container/container.ts'
import { pskIdentity, pskRecipient } from '../../lib/container/psk.ts'
import { isAvailable, isWeak, SUITES, type Suite } from '../../lib/container/suite.ts'
import { assertRefused, collect, headerLength, utf8 } from './files.ts'

const LEGACY = '--openssl-legacy-provider'
const NONCE = 16
const CHUNK = 64 * 1024

interface Case {
  readonly name: string
  readonly expect: 'opens' | 'damaged' | 'hmac' | 'no match' | 'unsupported'
  readonly suite: Suite
  readonly keyId: string
  readonly key: string
  readonly plaintext?: string
  readonly file: string
}

if (SUITES.every(isAvailable)) suites()
else
  describe('suites', () => {
    it('with the legacy provider, in a process of its own', { timeout: 300_000 }, () => {
      const { NODE_TEST_CONTEXT: _, ...env } = process.env
      const { status, stdout } = spawnSync(process.execPath, [LEGACY, '--test', __filename], {
        env,
        encoding: 'utf8',
      })
      assert.equal(status, 0, stdout)
      assert.match(stdout, /des-cbc-hmac-sha256, one recipient: opens/)
    })

    it('a cipher that is missing here is refused by name, to write and to read', async () => {
      const file = vectors().find(({ suite }) => suite === 'des-cbc-hmac-sha256')?.file ?? ''
      const identity = pskIdentity(() => undefined)
      await assert.rejects(open([identity], [Buffer.from(file, 'base64')], SUITES), {
        code: 'crypto/unsupported',
        message: /no des-cbc: .*--openssl-legacy-provider/,
      })
      const key = new Uint8Array(32)
      await assert.rejects(collect(seal([pskRecipient('k', key)], [key], 'idea-cbc-hmac-sha256')))
    })

    it('the strong ones, and triple DES, need nothing', () => {
      const missing = SUITES.filter((suite) => !isAvailable(suite))
      assert.deepEqual(missing, ['idea-cbc-hmac-sha256', 'des-cbc-hmac-sha256'])
      assert.deepEqual(SUITES.filter(isWeak), ['des-ede3-cbc-hmac-sha256', ...missing])
    })
  })

function vectors(): readonly Case[] {
  const path = join(process.cwd(), 'test', 'vectors', 'container-suites.json')
  return (JSON.parse(readFileSync(path, 'utf8')) as { readonly cases: readonly Case[] }).cases
}

function suites(): void {
  const openAll = async (key: Uint8Array, file: readonly Uint8Array[]): Promise<Uint8Array> =>
    collect(
      (await open([pskIdentity((id) => (id === 'a-b-1' ? key : undefined))], file, SUITES))
        .plaintext,
    )

  describe('a suite, by its published vectors', () => {
    const parts = {
      'no match': 'match',
      damaged: 'payload',
      hmac: 'hmac',
      unsupported: 'header',
    } as const
    for (const vector of vectors()) {
      it(`${vector.suite}, ${vector.name}: ${vector.expect}`, async () => {
        const key = Uint8Array.from(Buffer.from(vector.key, 'hex'))
        const work = openAll(key, [Uint8Array.from(Buffer.from(vector.file, 'base64'))])
        if (vector.expect !== 'opens') return assertRefused(work, parts[vector.expect])
        assert.equal(Buffer.from(await work).toString('hex'), vector.plaintext)
      })
    }
  })

  const key = new Uint8Array(32).fill(7)
  const recipient = pskRecipient('a-b-1', key)
  const others = SUITES.filter((suite) => suite !== 'chacha20-poly1305')

  for (const suite of others)
    describe(suite, () => {
      let short: Uint8Array
      before(async () => {
        short = await collect(seal([recipient], [utf8('the secret')], suite))
      })

      it('opens what it has sealed, at every length around a chunk and a block', async () => {
        for (const size of [
          0,
          1,
          7,
          8,
          15,
          16,
          17,
          CHUNK - 1,
          CHUNK,
          CHUNK + 1,
          2 * CHUNK,
          2 * CHUNK + 9,
        ]) {
          const plaintext = new Uint8Array(size).map((_, at) => at * 31)
          const file = await collect(seal([recipient], [plaintext], suite))
          assert.deepEqual(await openAll(key, [file]), plaintext, String(size))
        }
      })

      it('one flipped bit anywhere never opens', async () => {
        await fc.assert(
          fc.asyncProperty(fc.nat(short.length * 8 - 1), async (bit) => {
            const file = Uint8Array.from(short)
            file[bit >> 3]! ^= 1 << (bit & 7)
            await assert.rejects(openAll(key, [file]), { name: 'ContainerError' })
          }),
        )
      })

      it('cut off at any octet does not open', async () => {
        for (let end = 0; end < short.length; end++)
          await assertRefused(openAll(key, [short.subarray(0, end)]))
      })

      it('with chunks swapped, repeated, dropped or put behind does not open', async () => {
        const file = await collect(seal([recipient], [new Uint8Array(3 * CHUNK)], suite))
        const start = headerLength(file) + NONCE
        const step = (file.length - start) / 3
        const chunk = (n: number): Uint8Array =>
          file.subarray(start + n * step, start + (n + 1) * step)
        const head = file.subarray(0, start)
        for (const order of [[1, 0, 2], [0, 0, 1, 2], [0, 1, 2, 2], [0, 2], [2], [0, 1], [0]])
          await assertRefused(openAll(key, [head, ...order.map(chunk)]), 'payload')
        assert.equal((await openAll(key, [head, ...[0, 1, 2].map(chunk)])).length, 3 * CHUNK)
      })

      it('with the first line of any other suite does not open', async () => {
        for (const other of SUITES.filter((one) => one !== suite)) {
          const line =
            other === 'chacha20-poly1305' ? 'age-encryption.org/v1' : `hisho-encryption/v1 ${other}`
          const at = short.indexOf(0x0a)
          await assertRefused(openAll(key, [utf8(line), short.subarray(at)]), 'hmac')
        }
      })

      it('is opened only where it is asked for: never by an identity of age', async () => {
        await assert.rejects(open([pskIdentity(() => key)], [short]), {
          code: 'crypto/unsupported',
        })
        assert.equal((await readHeader([short])).suite, suite)
      })

      it('streams: 64 MiB through a few', { timeout: 120_000 }, async () => {
        const piece = new Uint8Array(1024 * 1024).fill(5)
        const pieces = function* (): Generator<Uint8Array> {
          for (let n = 0; n < 64; n++) yield piece
        }
        const { plaintext } = await open(
          [pskIdentity(() => key)],
          seal([recipient], pieces(), suite),
          SUITES,
        )
        const before = process.memoryUsage()
        let [size, most] = [0, 0]
        for await (const part of plaintext) {
          size += part.length
          const { arrayBuffers, heapUsed } = process.memoryUsage()
          most = Math.max(most, arrayBuffers + heapUsed - before.arrayBuffers - before.heapUsed)
        }
        assert.equal(size, 64 * 1024 * 1024)
        assert.ok(most < 48 * 1024 * 1024, `${most} octets`)
      })
    })

  describe('hisho/to', () => {
    it('names its addressees, and nobody can be put in who was not', async () => {
      const addresses = ['bob@b.example', '"b o"@b.example', 'ボブ@b.example']
      const file = await collect(
        seal([recipient, addressees(addresses)], [utf8('x')], 'aes-256-gcm'),
      )
      assert.deepEqual(addresseesOf((await readHeader([file])).stanzas), addresses)
      const text = Buffer.from(file).toString('latin1')
      const moved = text.replace(
        Buffer.from('bob@b.example').toString('base64').replace(/=+$/, ''),
        Buffer.from('eve@b.example').toString('base64').replace(/=+$/, ''),
      )
      assert.notEqual(moved, text)
      await assertRefused(openAll(key, [Buffer.from(moved, 'latin1')]), 'hmac')
    })

    it('that is malformed is refused', () => {
      const body = new Uint8Array(0)
      for (const stanza of [
        { type: 'hisho/to', args: [], body },
        { type: 'hisho/to', args: ['YQ', 'YQ'], body },
        { type: 'hisho/to', args: ['YQ'], body: new Uint8Array(1) },
        { type: 'hisho/to', args: ['YQ=='], body },
      ])
        assert.throws(() => addresseesOf([stanza]), { code: 'container/malformed' })
    })
  })
}
