// What is in the data of a message, for a session key: what most programs write directly and where it lies, all else by the
// library. RFC 9580 sections 5.13 and 10.3.
import { decrypt, readMessage, verify, type DecryptedSessionKey, type Message } from 'openpgp'
import { inOnePiece } from '../mail/large-bytes.ts'
import { cipherOf, type Cipher } from './library.ts'
import { MOST_SIGNATURES } from './limits.ts'
import { openData } from './open-data.ts'
import { bodyPieces, readPlain } from './packets.ts'
import { hasCfb, seipdStart, type SessionKey } from './sealed-data.ts'

/** The packet with the data; large ones are overwritten. */
export type Data =
  /** A SEIPD of version 1: what follows its version. */
  | { readonly version: 1; readonly ciphertext: Uint8Array }
  | { readonly version: 'other'; readonly packet: Uint8Array }

export interface Contents {
  readonly content: Uint8Array
  /** Packets, one after the other; none, if there are too many. */
  readonly signatures: Uint8Array
  readonly cipher: Cipher
}

const SEIPD_FIRST = 0xd2

export function readData(packet: Uint8Array): Data {
  const [first = new Uint8Array(), ...more] = bodyPieces(packet, 0)
  if (packet[0] !== SEIPD_FIRST || first[0] !== 1) return { version: 'other', packet }
  return { version: 1, ciphertext: inOnePiece([first.subarray(1), ...more]) }
}

/** undefined: another session key, altered, or a cipher that is not one of these. */
export async function contentsOf(
  data: Data,
  { data: key, algorithm }: DecryptedSessionKey,
  ciphers: readonly Cipher[],
): Promise<Contents | undefined> {
  if (data.version === 1 && algorithm !== null && hasCfb(algorithm))
    return openDirectly(data.ciphertext, { algorithm, data: key })
  const packet = data.version === 1 ? seipdAgain(data.ciphertext) : data.packet
  const message = await readMessage({ binaryMessage: packet }) // anew: the library uses it up
  const outside = cipherOutside(message) ?? algorithm
  const cipher = ciphers.find((name) => name === outside)
  if (!cipher) return undefined
  const result = await decrypt({
    message,
    sessionKeys: { data: key, algorithm: cipher },
    format: 'binary',
  }).catch(() => undefined)
  if (!result) return undefined
  return { content: result.data, signatures: await signaturePackets(result.signatures), cipher }
}

function seipdAgain(ciphertext: Uint8Array): Uint8Array {
  return Buffer.concat([seipdStart(ciphertext.length), ciphertext])
}

async function openDirectly(
  ciphertext: Uint8Array,
  key: SessionKey,
): Promise<Contents | undefined> {
  const packets = openData(ciphertext, key)
  if (!packets) return undefined
  const cipher = key.algorithm
  const plain = readPlain(packets)
  if (plain) {
    const signatures = plain.signatures.length > MOST_SIGNATURES ? [] : plain.signatures
    return {
      signatures: Buffer.concat(signatures), // before the content moves
      content: inOnePiece(plain.content),
      cipher,
    }
  }
  // Compressed, say.
  const message = await readMessage({ binaryMessage: packets })
  const result = await verify({ message, verificationKeys: [], format: 'binary' })
  return { content: result.data, signatures: await signaturePackets(result.signatures), cipher }
}

/** A SEIPD of version 2 says it itself, and its session key does not: RFC 9580 section 5.13.2. */
function cipherOutside(message: Message<Uint8Array>): Cipher | undefined {
  const data = message.packets[0]
  const number = data && 'cipherAlgorithm' in data ? data.cipherAlgorithm : undefined
  return typeof number === 'number' ? cipherOf(number) : undefined
}

async function signaturePackets(
  signatures: Awaited<ReturnType<typeof decrypt>>['signatures'],
): Promise<Uint8Array> {
  for (const { verified } of signatures) verified.catch(() => {}) // asked later, with keys
  if (signatures.length > MOST_SIGNATURES) return new Uint8Array()
  const all = await Promise.all(signatures.map(({ signature }) => signature))
  return Buffer.concat(all.map(({ packets }) => packets.write()))
}
