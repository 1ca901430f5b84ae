// The textual header of an age file: c2sp.org/age, "Header".
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { hkdfSha256 } from '../crypto/hkdf.ts'
import type { ByteReader } from './byte-reader.ts'
import { ContainerError } from './container-error.ts'
import { decodeBase64, encodeBase64, formatStanza, parseStanza, type Stanza } from './stanza.ts'
import { AGE_SUITE, SUITES, type Suite } from './suite.ts'

const VERSION_LINE = 'age-encryption.org/v1'
/** What the first line of a file of ours with another cipher begins with: its suite follows. */
const SUITE_LINE_START = 'hisho-encryption/v1 '
const MAC_MARK = '---'
const MAC_BYTES = 32

// The specification sets no limits, a server needs them: what comes before the MAC is not authenticated, and
// each stanza may cost a key agreement. 512 visible recipients of one domain fit with about 500 octets each.
const MAX_HEADER_BYTES = 256 * 1024
const MAX_STANZAS = 512

export interface Header {
  readonly suite: Suite
  readonly stanzas: readonly Stanza[]
  /** What the MAC covers: all octets up to and including the mark of the MAC line. */
  readonly covered: Uint8Array
  readonly mac: Uint8Array
}

/** Reads the header and leaves the reader at the first octet of the payload. */
export async function parseHeader(reader: ByteReader): Promise<Header> {
  let text = ''
  const nextLine = async (): Promise<string> => {
    const line = await reader.readLine(Math.max(0, MAX_HEADER_BYTES - text.length))
    if (!line.ended) throw new ContainerError('header', 'the header is cut off or too long')
    text += `${line.text}\n`
    return line.text
  }
  const suite = suiteOf(await nextLine())
  const stanzas: Stanza[] = []
  let line = await nextLine()
  while (!line.startsWith(MAC_MARK)) {
    if (stanzas.length === MAX_STANZAS) throw new ContainerError('header', 'too many stanzas')
    stanzas.push(await parseStanza(line, nextLine))
    line = await nextLine()
  }
  checkStanzas(stanzas)
  if (line[MAC_MARK.length] !== ' ') throw new ContainerError('header', 'the MAC line is malformed')
  const mac = decodeBase64(line.slice(MAC_MARK.length + 1))
  if (mac.length !== MAC_BYTES) throw new ContainerError('header', 'the MAC has a wrong length')
  // The octets as they came, not written anew from what was parsed: a parser's mistake must not be signed away.
  const covered = text.slice(0, text.length - line.length - 1 + MAC_MARK.length)
  return { suite, stanzas, covered: new TextEncoder().encode(covered), mac }
}

/** The whole header with its MAC. What we would not read we do not write. */
export function formatHeader(
  stanzas: readonly Stanza[],
  fileKey: Uint8Array,
  suite: Suite = AGE_SUITE,
): Uint8Array {
  checkStanzas(stanzas)
  const firstLine = suite === AGE_SUITE ? VERSION_LINE : `${SUITE_LINE_START}${suite}`
  const covered = `${firstLine}\n${stanzas.map(formatStanza).join('')}${MAC_MARK}`
  const mac = headerMac(fileKey, new TextEncoder().encode(covered))
  const header = new TextEncoder().encode(`${covered} ${encodeBase64(mac)}\n`)
  if (stanzas.length > MAX_STANZAS || header.length > MAX_HEADER_BYTES) {
    throw new ContainerError('header', 'too many recipients for one file')
  }
  return header
}

export function checkMac(header: Header, fileKey: Uint8Array): void {
  if (!timingSafeEqual(headerMac(fileKey, header.covered), header.mac)) {
    throw new ContainerError('hmac', 'the header was altered')
  }
}

/**
 * Names the file: nobody without its key can write another header with this key in it, whatever stanzas he takes over or
 * leaves out, nor put another payload behind this one. For a header whose MAC was right.
 */
export function headerId({ covered, mac }: Header): string {
  return createHash('sha256').update(covered).update(mac).digest('hex')
}

function headerMac(fileKey: Uint8Array, covered: Uint8Array): Uint8Array {
  const key = hkdfSha256(fileKey, new Uint8Array(0), new TextEncoder().encode('header'), MAC_BYTES)
  return createHmac('sha256', key).update(covered).digest()
}

/** The first line. The MAC covers it and the key of the payload has the suite in it: another one in its place opens nothing. */
function suiteOf(line: string): Suite {
  if (line === VERSION_LINE) return AGE_SUITE
  const suite = SUITES.find(
    (known) => known !== AGE_SUITE && line === `${SUITE_LINE_START}${known}`,
  )
  if (suite !== undefined) return suite
  const known = /^(age-encryption\.org\/|hisho-encryption\/)[\x20-\x7e]{1,80}$/.test(line)
  if (!known) throw new ContainerError('header', 'this is not an age file')
  throw new ContainerError('header', `format ${line} is not supported`, 'crypto/unsupported')
}

function checkStanzas(stanzas: readonly Stanza[]): void {
  if (stanzas.length === 0) throw new ContainerError('header', 'no recipient stanza')
  // "An scrypt stanza, if present, MUST be the only stanza in the header": who knows the passphrase is taken
  // for who wrote the file. Held whatever the identities, so that no order of them gets around it.
  if (stanzas.length > 1 && stanzas.some((stanza) => stanza.type === 'scrypt')) {
    throw new ContainerError('header', 'a scrypt stanza must be the only one')
  }
}
