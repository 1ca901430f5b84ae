// What signatures are made over, computed where the content is: RFC 9580 section 5.2.4. So large content stays where it is
// while it is asked whose signatures they are.
import { createHash } from 'node:crypto'
import { enums, type SignaturePacket } from 'openpgp'
import { piecesOf } from '../mail/large-bytes.ts'

const { hash } = enums

/** RFC 9580 section 9.5: Node's name, and how long the salt of version 6 is. What is not here is refused anyway. */
const HASHES: Readonly<Record<number, { readonly name: string; readonly saltBytes: number }>> = {
  [hash.sha256]: { name: 'sha256', saltBytes: 16 },
  [hash.sha384]: { name: 'sha384', saltBytes: 24 },
  [hash.sha512]: { name: 'sha512', saltBytes: 32 },
  [hash.sha3_256]: { name: 'sha3-256', saltBytes: 16 },
  [hash.sha3_512]: { name: 'sha3-512', saltBytes: 32 },
}

/** Of nothing that is good, nothing. */
export function digestFor(packet: SignaturePacket, content: Uint8Array): Uint8Array {
  const { version, signatureData, signatureType } = packet
  const known = HASHES[packet.hashAlgorithm ?? 0]
  const salt = saltOf(packet)
  if (!known || !signatureData || (version === 6 && salt.length !== known.saltBytes))
    return new Uint8Array()
  const hashing = createHash(known.name).update(salt)
  const pieces = signatureType === enums.signature.text ? withLineEnds(content) : piecesOf(content)
  for (const piece of pieces) hashing.update(piece)
  const trailer = Buffer.from([version, 0xff, 0, 0, 0, 0])
  trailer.writeUInt32BE(signatureData.length, 2)
  return hashing.update(signatureData).update(trailer).digest()
}

/** What the types of the library leave out. */
function saltOf(packet: SignaturePacket): Uint8Array {
  const { salt } = packet as { salt?: Uint8Array | null }
  return salt ?? new Uint8Array()
}

const [CR, LF] = [0x0d, 0x0a]

/** Every line ends in CRLF: RFC 9580 section 5.2.1.2. */
function* withLineEnds(content: Uint8Array): Generator<Uint8Array> {
  let before = 0
  for (const piece of piecesOf(content)) {
    let from = 0
    for (let at = piece.indexOf(LF); at !== -1; at = piece.indexOf(LF, at + 1)) {
      if ((at === 0 ? before : piece[at - 1]) === CR) continue
      yield piece.subarray(from, at)
      yield CR_OCTET
      from = at
    }
    yield piece.subarray(from)
    before = piece.at(-1) ?? 0
  }
}

const CR_OCTET = Buffer.from('\r')
