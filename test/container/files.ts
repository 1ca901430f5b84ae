// Whole files in memory, for tests.
import assert from 'node:assert/strict'
import type { Bytes } from '../../lib/container/byte-reader.ts'
import { ContainerError, type ContainerPart } from '../../lib/container/container-error.ts'
import { open, seal } from '../../lib/container/container.ts'
import type { Identity, Recipient } from '../../lib/container/stanza.ts'

export async function collect(stream: Bytes): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for await (const piece of stream) pieces.push(piece)
  return Uint8Array.from(Buffer.concat(pieces))
}

export function sealed(recipient: Recipient, plaintext: Uint8Array): Promise<Uint8Array> {
  return collect(seal([recipient], [plaintext]))
}

export async function opened(identity: Identity, file: Bytes): Promise<Uint8Array> {
  const { plaintext } = await open([identity], file)
  return collect(plaintext)
}

/** Asserts that the work is refused, and by which layer. */
export async function assertRefused(
  work: Promise<unknown>,
  ...parts: ContainerPart[]
): Promise<void> {
  await assert.rejects(work, (error) => {
    assert.ok(error instanceof ContainerError, String(error))
    if (parts.length > 0) assert.ok(parts.includes(error.part), `${error.part}: ${error.message}`)
    return true
  })
}

export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** Where the payload nonce begins: behind the line of the MAC. */
export function headerLength(file: Uint8Array): number {
  const text = Buffer.from(file).toString('latin1')
  return text.indexOf('\n', text.indexOf('\n--- ') + 1) + 1
}
