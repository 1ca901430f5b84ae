// ASCII armor of age files: c2sp.org/age, "ASCII armor"; the strict form of RFC 7468 section 3, figure 3.
import { ByteReader, type Bytes } from './byte-reader.ts'
import { ContainerError } from './container-error.ts'
import { createTurns } from './turns.ts'

const BEGIN = '-----BEGIN AGE ENCRYPTED FILE-----'
const END = '-----END AGE ENCRYPTED FILE-----'
const COLUMNS = 64
const LINE_BYTES = 48
const READ_BYTES = 1024 * LINE_BYTES
const MAX_SPACE_BYTES = 1024 // white space before and after, which would otherwise be endless
const SPACE = /^[ \t\r\n]*$/
const PADDED_BASE64 = /^[A-Za-z0-9+/]+={0,2}$/

export async function* writeArmor(file: Bytes): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = new ByteReader(file)
  const encoder = new TextEncoder()
  const turn = createTurns()
  try {
    yield encoder.encode(`${BEGIN}\n`)
    while (!(await reader.atEnd())) {
      const bytes = await reader.read(READ_BYTES)
      const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')
      yield encoder.encode(text.replace(/.{1,64}/g, '$&\n'))
      await turn(bytes.length)
    }
    yield encoder.encode(`${END}\n`)
  } finally {
    await reader.close()
  }
}

/**
 * Reads an armored file. LF and CRLF both end a line, white space before and after is skipped, everything else
 * must be as we would write it: armor that can be written in two ways makes a file that can be altered unseen.
 */
export async function* readArmor(armored: Bytes): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = new ByteReader(armored)
  const turn = createTurns()
  try {
    await skipToBegin(reader)
    let file = new Uint8Array(READ_BYTES)
    let filled = 0
    let last = false
    for (;;) {
      const line = lineAtHand(reader) ?? (await nextLine(reader, COLUMNS + 1))
      if (line === END) break
      const bytes: Uint8Array | undefined = last ? undefined : decodeLine(line)
      if (bytes === undefined) throw new ContainerError('armor', 'a line of the armor is malformed')
      last = bytes.length < LINE_BYTES
      file.set(bytes, filled)
      filled += bytes.length
      if (filled < READ_BYTES) continue
      yield file
      await turn(filled)
      file = new Uint8Array(READ_BYTES)
      filled = 0
    }
    await skipSpace(reader)
    yield file.subarray(0, filled)
  } finally {
    await reader.close()
  }
}

/** The age file in what may be armored or not: what begins with a dash or white space is. */
export async function* readMaybeArmor(file: Bytes): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = new ByteReader(file)
  const first = String.fromCharCode((await reader.peek()) ?? 0)
  yield* /[- \t\r\n]/.test(first) ? readArmor(reader.rest()) : reader.rest()
}

async function skipToBegin(reader: ByteReader): Promise<void> {
  let room = MAX_SPACE_BYTES
  let line
  do {
    line = await nextLine(reader, room)
    room -= line.length + 1
  } while (SPACE.test(line) && room > 0)
  if (line !== BEGIN) throw new ContainerError('armor', 'the armor has no begin line')
}

async function skipSpace(reader: ByteReader): Promise<void> {
  const rest = await reader.read(MAX_SPACE_BYTES)
  if (!SPACE.test(Buffer.from(rest).toString('latin1')) || !(await reader.atEnd())) {
    throw new ContainerError('armor', 'there is data after the armor')
  }
}

async function nextLine(reader: ByteReader, maxBytes: number): Promise<string> {
  const { text, ended } = await reader.readLine(maxBytes)
  // The end line need not have an end of line itself: editors and mail drop it.
  if (!ended && text !== END) throw new ContainerError('armor', 'a line is too long or cut off')
  return withoutCr(text)
}

/** Saves the wait for a promise on all lines but those that two pieces share. */
function lineAtHand(reader: ByteReader): string | undefined {
  const text = reader.lineAtHand(COLUMNS + 1)
  return text === undefined ? undefined : withoutCr(text)
}

function withoutCr(text: string): string {
  return text.endsWith('\r') ? text.slice(0, -1) : text
}

/** undefined: too long, not a whole number of groups, or not canonical. Padding makes a line the last. */
function decodeLine(line: string): Uint8Array | undefined {
  if (line.length > COLUMNS || !PADDED_BASE64.test(line)) return undefined
  const bytes = Buffer.from(line, 'base64')
  // Only padding leaves bits over, so only a padded line can be written in two ways.
  if (line.endsWith('=') && bytes.toString('base64') !== line) return undefined
  return line.length % 4 === 0 ? bytes : undefined
}
