// Reads a file of test/vectors.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller knows what its file holds
export function readVectors<T>(name: string): T {
  const path = join(__dirname, '..', '..', '..', 'test', 'vectors', `${name}.json`)
  return JSON.parse(readFileSync(path, 'utf8')) as T
}

export function fromHex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'hex'))
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
