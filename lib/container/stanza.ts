// Recipient stanzas of the age header: c2sp.org/age, "Recipient stanza" and "Conventions".
import { ContainerError } from './container-error.ts'

/** One way to the file key: a type, its arguments (the type is not among them), and a body. */
export interface Stanza {
  readonly type: string
  readonly args: readonly string[]
  readonly body: Uint8Array
}

/** Somebody to write to. The file key is wiped by its owner after `wrap`: do not keep it. */
export interface Recipient {
  wrap(fileKey: Uint8Array): Promise<readonly Stanza[]>
}

/** Somebody who reads. */
export interface Identity {
  /**
   * The file key, in bytes of its own that the caller wipes. undefined: none of the stanzas is for this
   * identity. PermError container/malformed: a stanza of a known type is malformed.
   */
  unwrap(stanzas: readonly Stanza[]): Promise<Uint8Array | undefined>
}

const COLUMNS = 64
const SEALED_BYTES = 32
const ARGUMENT = /^[\x21-\x7e]+$/ // 1*VCHAR
const BASE64 = /^[A-Za-z0-9+/]*$/

/** Base64 without padding, RFC 4648 section 4, as everywhere in an age header. */
export function encodeBase64(bytes: Uint8Array): string {
  const padded = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')
  return padded.replace(/=+$/, '')
}

/** Refuses padding, other alphabets and non-zero trailing bits: RFC 4648 section 3.5, a MUST in age. */
export function decodeBase64(text: string): Uint8Array {
  // Buffer skips what it does not know, so its answer counts only if it leads back to the same text.
  const bytes = Uint8Array.from(Buffer.from(BASE64.test(text) ? text : '', 'base64'))
  if (encodeBase64(bytes) !== text) throw new ContainerError('header', 'base64 is not canonical')
  return bytes
}

/** A base64 argument that stands for exactly so many bytes. */
export function decodeArgument(text: string, sizeBytes: number): Uint8Array {
  const bytes = decodeBase64(text)
  if (bytes.length !== sizeBytes) {
    throw new ContainerError(
      'header',
      `a stanza argument has ${bytes.length} bytes, not ${sizeBytes}`,
    )
  }
  return bytes
}

/**
 * The stanzas of one type, each checked before any is tried: a malformed stanza of a known type spoils the file
 * even if another one would open it. Every type we know seals the file key to 32 bytes; the length is checked
 * before any decryption, against partitioning oracles, which is a MUST of c2sp.org/age for its own types.
 */
export function stanzasOfType(
  stanzas: readonly Stanza[],
  type: string,
  argumentCount: number,
): readonly Stanza[] {
  const found = stanzas.filter((stanza) => stanza.type === type)
  for (const { args, body } of found) {
    if (args.length !== argumentCount) {
      throw new ContainerError('header', `a ${type} stanza has ${args.length} arguments`)
    }
    if (body.length !== SEALED_BYTES) {
      throw new ContainerError('header', `a ${type} stanza has a body of ${body.length} bytes`)
    }
  }
  return found
}

export function formatStanza(stanza: Stanza): string {
  const words = [stanza.type, ...stanza.args]
  if (!words.every((word) => ARGUMENT.test(word))) {
    throw new ContainerError('header', 'a stanza argument is empty or not printable ASCII')
  }
  const body = encodeBase64(stanza.body)
  let text = `-> ${words.join(' ')}\n`
  // The last line is shorter than 64 columns even if that makes it empty: this is what ends a stanza.
  for (let at = 0; at <= body.length; at += COLUMNS) text += `${body.slice(at, at + COLUMNS)}\n`
  return text
}

/** Reads a stanza from its argument line on; `nextLine` gives the lines of the body. */
export async function parseStanza(
  argumentLine: string,
  nextLine: () => Promise<string>,
): Promise<Stanza> {
  const [arrow, type, ...args] = argumentLine.split(' ')
  if (arrow !== '->' || type === undefined || ![type, ...args].every((arg) => ARGUMENT.test(arg))) {
    throw new ContainerError('header', 'a stanza does not begin with "-> " and its arguments')
  }
  const lines: string[] = []
  let line
  do {
    line = await nextLine()
    if (line.length > COLUMNS) throw new ContainerError('header', 'a stanza line is too long')
    lines.push(line)
  } while (line.length === COLUMNS)
  return { type, args, body: decodeBase64(lines.join('')) }
}
