// Counts as lines of a file: in front of each stands of which part it is, so that whoever reads one part need not look into the
// others. A batch is written at once; a line that a crash has torn is none.
import { createReadStream } from 'node:fs'
import { packCount, unpackCount, type Count } from './count.ts'
import { partOf, type Batch, type Part } from './day-store.ts'

/** `of` of a Part must divide it. */
export const SHARDS = 64
const PIECE_BYTES = 2 ** 20
/** More than a process ever has in hand. */
const KNOWN_BATCHES = 100
const LINE_END = 0x0a

/** `d0f [id, counts]` */
export function formatLines({ id, counts }: Batch): string {
  const shards = new Map<string, unknown[]>()
  for (const count of counts) {
    const shard = partOf(count.name, SHARDS).toString(16).padStart(2, '0')
    const mark = `${count.via === undefined ? 'd' : 'h'}${shard}`
    const held = shards.get(mark)
    if (held) held.push(packCount(count))
    else shards.set(mark, [packCount(count)])
  }
  return [...shards].map(([mark, packed]) => `${mark} ${JSON.stringify([id, packed])}\n`).join('')
}

/** `torn`: told of each line that is none, when the first part of domains is read. */
export async function* readLines(
  file: string,
  { part, of, kind }: Part,
  torn: () => void,
): AsyncGenerator<Count> {
  const wanted = new Set<string>()
  for (let shard = part; shard < SHARDS; shard += of)
    wanted.add(`${kind === 'domains' ? 'd' : 'h'}${shard.toString(16).padStart(2, '0')}`)
  const isFirst = part === 0 && kind === 'domains'
  /** Of each shard the batches that came last: written again, when nobody knew whether they were there. */
  const seen = new Map<string, Set<string>>()
  for await (const line of linesOf(file)) {
    const mark = line.toString('latin1', 0, 3)
    if (!wanted.has(mark)) {
      if (isFirst && !/^[dh][0-3][0-9a-f]$/.test(mark)) torn()
      continue
    }
    const batch = parseBatch(line.toString('utf8', 4))
    if (batch === undefined) {
      torn()
      continue
    }
    const known = seen.get(mark) ?? new Set()
    seen.set(mark, known)
    if (known.has(batch.id)) continue
    known.add(batch.id)
    for (const oldest of known) {
      if (known.size <= KNOWN_BATCHES) break
      known.delete(oldest)
    }
    for (const packed of batch.counts) {
      const count = unpackCount(packed)
      if (count) yield count
    }
  }
}

/** Each is good until the next is asked for. */
async function* linesOf(file: string): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const piece of createReadStream(file, { highWaterMark: PIECE_BYTES })) {
    const bytes = rest.length === 0 ? (piece as Buffer) : Buffer.concat([rest, piece as Buffer])
    let from = 0
    for (;;) {
      const end = bytes.indexOf(LINE_END, from)
      if (end === -1) break
      if (end > from) yield bytes.subarray(from, end)
      from = end + 1
    }
    rest = bytes.subarray(from)
  }
  if (rest.length > 0) yield rest
}

function parseBatch(text: string): { id: string; counts: readonly unknown[] } | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!Array.isArray(parsed)) return undefined
  const [id, counts] = parsed as unknown[]
  return typeof id === 'string' && Array.isArray(counts) ? { id, counts } : undefined
}
