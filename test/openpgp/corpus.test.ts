// Broken and hostile OpenPGP data: what is made here, and, where HISHO_OPENPGP_CORPUS names a folder (such as the test data of
// rnp or GnuPG), each file of it.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { HishoError, PermError } from '../../lib/errors.ts'
import type { OpenPgpPool } from '../../lib/openpgp/openpgp.ts'
import { newKey, startPool, type TestKey } from './world.ts'
import { ALICE, BOB } from '../support/scheme-mail.ts'

const CORPUS = process.env['HISHO_OPENPGP_CORPUS']

describe('broken OpenPGP data', () => {
  let pool: OpenPgpPool
  let alice: TestKey
  let bob: TestKey
  let message: Uint8Array
  before(async () => {
    pool = startPool()
    alice = await newKey(pool, ALICE)
    bob = await newKey(pool, BOB)
    const { packets } = await pool.run('seal', {
      content: Buffer.from('Content-Type: text/plain\r\n\r\nthe secret\r\n'),
      certificates: [bob.certificate],
      secretKeys: [alice.secret],
    })
    message = Buffer.concat(packets)
  })
  after(() => pool?.close())

  /** As a message, as a key, and as a signature: each is refused, or is what it says. */
  async function feed(bytes: Uint8Array, name: string): Promise<void> {
    const copy = (): Uint8Array => Uint8Array.from(bytes)
    const jobs = [
      () => pool.run('open', { message: copy(), secretKeys: [bob.secret], weakCiphers: 'open' }),
      () => pool.run('readKeys', { keys: copy() }),
      () =>
        pool.run('verify', {
          content: Buffer.from('x'),
          signatures: copy(),
          certificates: [bob.certificate],
        }),
    ]
    for (const [at, job] of jobs.entries()) {
      await job().catch((error: unknown) => {
        assert.ok(
          CORPUS ? error instanceof HishoError : error instanceof PermError,
          `${name}, job ${at}: ${String(error)}`,
        )
      })
    }
  }

  const stillOpens = async (): Promise<void> => {
    const { content } = await pool.run('open', {
      message: Uint8Array.from(message),
      secretKeys: [bob.secret],
      weakCiphers: 'refuse',
    })
    assert.match(Buffer.from(content).toString(), /the secret/)
  }

  it('C29: cut off anywhere, or with any of its first octets changed, it is refused, and the thread lives', async () => {
    const [thread] = pool.threadIds
    for (const [name, whole] of [
      ['message', message],
      ['certificate', bob.certificate],
    ] as const) {
      for (let length = 0; length < whole.length; length += 1 + (length >> 4))
        await feed(whole.subarray(0, length), `${name} cut at ${length}`)
      for (let at = 0; at < 40; at++) {
        const changed = Uint8Array.from(whole)
        changed[at]! ^= 0xff
        await feed(changed, `${name} changed at ${at}`)
      }
    }
    assert.deepEqual(pool.threadIds, [thread])
    await stillOpens()
  })

  it('a signed message that stands for a signature over something else is none', async () => {
    const opened = await pool.run('open', {
      message: Uint8Array.from(message),
      secretKeys: [bob.secret],
      weakCiphers: 'refuse',
    })
    const literal = Buffer.concat([Uint8Array.of(0xcb, 7), Buffer.from('b\0\0\0\0\0x')])
    for (const signatures of [literal, Buffer.concat([literal, opened.signatures])]) {
      const { found } = await pool.run('verify', {
        content: Buffer.from('x'),
        signatures,
        certificates: [alice.certificate],
      })
      assert.deepEqual(found, [])
    }
  })

  it('C29: lengths that lie, packets that never end and layers without number are refused, and the thread lives', async () => {
    const [thread] = pool.threadIds
    const packet = (tag: number, body: Uint8Array): Uint8Array =>
      Buffer.concat([Uint8Array.of(0xc0 | tag, 0xff), length(body.length), body])
    const length = (value: number): Buffer => {
      const bytes = Buffer.alloc(4)
      bytes.writeUInt32BE(value)
      return bytes
    }
    let nested: Uint8Array = packet(11, Buffer.from('b\0\0\0\0\0x'))
    for (let layer = 0; layer < 60; layer++)
      nested = packet(8, Buffer.concat([Uint8Array.of(0), nested]))
    const cases: Record<string, Uint8Array> = {
      'a length of 4 GiB': Buffer.concat([Uint8Array.of(0xd2, 0xff), length(0xffffffff), message]),
      'partial lengths to the end': Buffer.concat(
        Array.from({ length: 2000 }, () => Uint8Array.of(0xe0, 0)),
      ),
      'sixty layers of compression': nested,
      'a number of 65535 bits': packet(
        1,
        Buffer.concat([
          Uint8Array.of(3),
          bob.certificate.subarray(0, 8),
          Uint8Array.of(1, 0xff, 0xff),
        ]),
      ),
      'ten thousand empty packets': Buffer.concat(
        Array.from({ length: 10_000 }, () => packet(10, Buffer.from('PGP'))),
      ),
      'a thousand session keys': Buffer.concat([
        ...Array.from({ length: 1000 }, () =>
          packet(1, Buffer.concat([Uint8Array.of(3), Buffer.alloc(8), Uint8Array.of(1, 0, 8, 1)])),
        ),
        message,
      ]),
    }
    for (const [name, bytes] of Object.entries(cases)) await feed(bytes, name)
    assert.deepEqual(pool.threadIds, [thread])
    await stillOpens()
  })

  it(
    'C29: so is each file of a corpus',
    { skip: CORPUS ? false : 'set HISHO_OPENPGP_CORPUS to its folder' },
    async () => {
      const files = readdirSync(CORPUS ?? '', { recursive: true, withFileTypes: true }).filter(
        (entry) => entry.isFile(),
      )
      assert.ok(files.length > 0)
      for (const { parentPath, name } of files) {
        const bytes = readFileSync(join(parentPath, name))
        if (bytes.length < 2_000_000) await feed(bytes, name)
      }
      await stillOpens()
    },
  )
})
