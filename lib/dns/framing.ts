// The frame of a DNS message, RFC 1035 section 4.1: whether each section, name and RDATA lies within the bytes.
// The codec reads past a short RDATA without a word, so the frame is walked first.

const HEADER_BYTES = 12
const ADDRESS_BYTES = new Map([
  [1, 4], // A
  [28, 16], // AAAA
])

/** Where the message ends by its own lengths; throws if that is not within the bytes. */
export function messageEnd(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const questions = view.getUint16(4)
  const records = view.getUint16(6) + view.getUint16(8) + view.getUint16(10)
  let at = HEADER_BYTES
  for (let i = 0; i < questions; i += 1) at = nameEnd(view, at) + 4
  for (let i = 0; i < records; i += 1) {
    const start = nameEnd(view, at)
    const length = view.getUint16(start + 8)
    if (length !== (ADDRESS_BYTES.get(view.getUint16(start)) ?? length)) {
      throw new RangeError('an address of a wrong length')
    }
    at = start + 10 + length
    if (at > bytes.length) throw new RangeError('a record ends after the message')
  }
  if (at > bytes.length) throw new RangeError('a question ends after the message')
  return at
}

function nameEnd(view: DataView, start: number): number {
  let at = start
  for (;;) {
    const length = view.getUint8(at)
    if (length === 0) return at + 1
    if (length >= 0xc0) return at + 2 // a pointer ends the name: RFC 1035 section 4.1.4
    at += 1 + length
  }
}
