// Each scheme for mail, sealing and opening a small message and a large one, against its peer's program and against the bare
// cipher, in one run.
import { spawnSync } from 'node:child_process'
import { createCipheriv, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { collect, messageBytes, readMessage, type ByteSource } from '../lib/mail/message.ts'
import type { Scheme, SchemeSettings } from '../lib/mail/scheme.ts'
import { CONTENDERS } from './contenders.ts'
import { message } from './gateway.ts'
import type { Peer } from './peers.ts'
import { sideBySide, type Row } from './report.ts'

export const BOB = 'bob@b.example'
export const SMALL = 10 * 1024
export const LARGE = 25 * 1024 * 1024
const PIECE = 64 * 1024

/** A scheme with its keys, ready for mail from alice@a.example to bob@b.example, and a program that does the same. */
export interface Contender {
  readonly name: string
  readonly scheme: Scheme
  readonly settings: SchemeSettings
  readonly peer?: Peer
  close?(): Promise<void>
}

export async function benchSchemes(): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), 'hisho-bench-'))
  try {
    const rows: Row[] = []
    for (const make of CONTENDERS) {
      const contender = await make(folder)
      try {
        rows.push(...(await small(contender, folder)), ...(await large(contender, folder)))
      } finally {
        await contender.close?.()
      }
    }
    return rows
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function small(contender: Contender, folder: string): Promise<Row[]> {
  const { name, peer } = contender
  const bytes = message(BOB, SMALL)
  const sealed = await seal(contender, bytes)
  const each = 40
  const ours = {
    seal: () => milliseconds(each, async () => void (await seal(contender, bytes))),
    open: () => milliseconds(each, () => open(contender, sealed)),
  }
  if (!peer) {
    const [sealing, opening] = [await twice(ours.seal), await twice(ours.open)]
    return [
      { name: `${name}: seal 10 KB`, value: sealing, unit: 'ms' },
      { name: `${name}: open 10 KB`, value: opening, unit: 'ms' },
    ]
  }
  const files = prepare(peer, folder, bytes)
  const theirs = {
    seal: () => milliseconds(2, async () => run(peer, peer.seal(files.plain))),
    open: () => milliseconds(2, async () => run(peer, peer.open(files.sealed))),
  }
  const sealing = await sideBySide(5, ours.seal, theirs.seal)
  const opening = await sideBySide(5, ours.open, theirs.open)
  return [
    {
      name: `${name}: seal 10 KB, time against \`${peer.name}\``,
      value: sealing.ours,
      unit: 'ms',
      ratio: sealing.ratio,
    },
    {
      name: `${name}: open 10 KB, time against \`${peer.name}\``,
      value: opening.ours,
      unit: 'ms',
      ratio: opening.ratio,
    },
  ]
}

async function large(contender: Contender, folder: string): Promise<Row[]> {
  const { name, peer } = contender
  const bytes = message(BOB, LARGE)
  const sealed = await seal(contender, bytes)
  const key = randomBytes(32)
  const bare = (): Promise<number> =>
    throughput(async () => {
      const cipher = createCipheriv('aes-256-gcm', key, new Uint8Array(12))
      for (let at = 0; at < bytes.length; at += 65_536)
        cipher.update(bytes.subarray(at, at + 65_536))
      cipher.final()
    })
  const ours = {
    seal: () => throughput(() => drain(contender, bytes)),
    open: () => throughput(() => open(contender, sealed)),
  }
  const sealing = await sideBySide(5, ours.seal, bare)
  const opening = await sideBySide(5, ours.open, bare)
  const rows: Row[] = [
    {
      name: `${name}: seal 25 MB, against bare AES-256-GCM`,
      value: sealing.ours,
      unit: 'MB/s',
      ratio: sealing.ratio,
    },
    {
      name: `${name}: open 25 MB, against bare AES-256-GCM`,
      value: opening.ours,
      unit: 'MB/s',
      ratio: opening.ratio,
    },
  ]
  if (!peer) return rows
  const files = prepare(peer, folder, bytes)
  const theirs = {
    seal: () => throughput(async () => run(peer, peer.seal(files.plain))),
    open: () => throughput(async () => run(peer, peer.open(files.sealed))),
  }
  const peerSealing = await sideBySide(3, ours.seal, theirs.seal)
  const peerOpening = await sideBySide(3, ours.open, theirs.open)
  return [
    ...rows,
    {
      name: `${name}: seal 25 MB, against \`${peer.name}\``,
      value: peerSealing.ours,
      unit: 'MB/s',
      ratio: peerSealing.ratio,
    },
    {
      name: `${name}: open 25 MB, against \`${peer.name}\``,
      value: peerOpening.ours,
      unit: 'MB/s',
      ratio: peerOpening.ratio,
    },
  ]
}

function prepare(peer: Peer, folder: string, bytes: Uint8Array): { plain: string; sealed: string } {
  const files = { plain: join(folder, 'plain'), sealed: join(folder, 'sealed') }
  writeFileSync(files.plain, bytes)
  run(peer, peer.sealInto(files.plain, files.sealed))
  return files
}

function run({ environment }: Peer, [command = '', ...args]: readonly string[]): void {
  const { status, stderr, error } = spawnSync(command, args, {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  if (status !== 0) throw error ?? new Error(`${command}: ${stderr.toString()}`)
}

/** The message on the wire, as it comes. */
export async function sealing(
  { scheme, settings }: Contender,
  source: ByteSource,
): Promise<AsyncIterable<Uint8Array>> {
  const offer = await scheme.offer({
    domain: 'b.example',
    addresses: [BOB],
    trust: ['dnssec'],
    settings,
  })
  if (!offer) throw new Error(`${scheme.name} has no offer`)
  return messageBytes(offer.seal([BOB], await readMessage(source), { author: 'alice@a.example' }))
}

async function seal(contender: Contender, bytes: Uint8Array): Promise<Uint8Array> {
  return collect(await sealing(contender, pieces(bytes)))
}

async function drain(contender: Contender, bytes: Uint8Array): Promise<void> {
  for await (const piece of await sealing(contender, pieces(bytes))) void piece
}

async function open({ scheme }: Contender, sealed: Uint8Array): Promise<void> {
  const opening = await scheme.open(await readMessage(pieces(sealed)), [BOB])
  if (opening.status !== 'opened') throw new Error(opening.reason)
  for await (const piece of messageBytes(opening.message)) void piece
}

/** As Haraka gives them. */
function* pieces(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE) yield bytes.subarray(at, at + PIECE)
}

async function milliseconds(times: number, work: () => Promise<void>): Promise<number> {
  const start = performance.now()
  for (let time = 0; time < times; time++) await work()
  return (performance.now() - start) / times
}

/** The better of two, after a warm-up. */
async function twice(measure: () => Promise<number>): Promise<number> {
  await measure()
  return Math.min(await measure(), await measure())
}

async function throughput(work: () => Promise<void>): Promise<number> {
  const start = performance.now()
  await work()
  return LARGE / 1e6 / ((performance.now() - start) / 1000)
}
