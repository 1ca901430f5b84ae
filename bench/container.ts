// The age container against bare node:crypto over the same chunks.
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { open, seal } from '../lib/container/container.ts'
import { pskIdentity, pskRecipient } from '../lib/container/psk.ts'
import { sideBySide, type Row } from './report.ts'

const SIZE = 25 * 1024 * 1024
const CHUNK = 64 * 1024
const ROUNDS = 11

export async function benchContainer(): Promise<Row[]> {
  const key = randomBytes(32)
  const chunks = Array.from({ length: SIZE / CHUNK }, () => new Uint8Array(randomBytes(CHUNK)))
  const sealed: Uint8Array[] = []
  for await (const piece of seal([pskRecipient('k', key)], chunks)) sealed.push(piece)
  const bare = chunks.map((chunk) => bareSeal(key, chunk))

  const sealing = await sideBySide(
    ROUNDS,
    () => throughput(async () => drain(seal([pskRecipient('k', key)], chunks))),
    () => throughput(async () => void chunks.map((chunk) => bareSeal(key, chunk))),
  )
  const opening = await sideBySide(
    ROUNDS,
    () => throughput(async () => drain((await open([pskIdentity(() => key)], sealed)).plaintext)),
    () => throughput(async () => void bare.map((chunk) => bareOpen(key, chunk))),
  )
  return [
    {
      name: 'container: seal 25 MB, against bare ChaCha20-Poly1305',
      value: sealing.ours,
      unit: 'MB/s',
      ratio: sealing.ratio,
      target: { least: 0.5 },
    },
    {
      name: 'container: open 25 MB, against bare ChaCha20-Poly1305',
      value: opening.ours,
      unit: 'MB/s',
      ratio: opening.ratio,
      target: { least: 0.5 },
    },
    {
      name: 'container: memory for 1 GB more than for 25 MB',
      value: await memoryGrowth(key),
      unit: 'MB',
      target: { most: 30 },
    },
  ]
}

async function throughput(work: () => Promise<void>): Promise<number> {
  const start = performance.now()
  await work()
  return SIZE / 1e6 / ((performance.now() - start) / 1000)
}

async function drain(source: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const piece of source) void piece
}

const NONCE = new Uint8Array(12)

function bareSeal(key: Uint8Array, chunk: Uint8Array): { bytes: Uint8Array; tag: Uint8Array } {
  const cipher = createCipheriv('chacha20-poly1305', key, NONCE, { authTagLength: 16 })
  const bytes = cipher.update(chunk)
  cipher.final()
  return { bytes, tag: cipher.getAuthTag() }
}

function bareOpen(
  key: Uint8Array,
  { bytes, tag }: { bytes: Uint8Array; tag: Uint8Array },
): Uint8Array {
  const decipher = createDecipheriv('chacha20-poly1305', key, NONCE, { authTagLength: 16 })
  decipher.setAuthTag(tag)
  const plain = decipher.update(bytes)
  decipher.final()
  return plain
}

/** How much higher memory gets for 1 GB through seal and open than for 25 MB. */
async function memoryGrowth(key: Uint8Array): Promise<number> {
  const peak = async (sizeBytes: number): Promise<number> => {
    let most = 0
    async function* source(): AsyncGenerator<Uint8Array> {
      const piece = new Uint8Array(CHUNK)
      for (let sent = 0; sent < sizeBytes; sent += CHUNK) {
        if (sent % (64 * CHUNK) === 0) most = Math.max(most, process.memoryUsage().rss)
        yield piece
      }
    }
    await drain(
      (await open([pskIdentity(() => key)], seal([pskRecipient('k', key)], source()))).plaintext,
    )
    return most
  }
  await peak(SIZE)
  const small = await peak(SIZE)
  return Math.max(0, (await peak(1e9)) - small) / 1e6
}
