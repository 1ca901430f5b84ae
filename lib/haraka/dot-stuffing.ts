// RFC 5321 section 4.5.2, as a stream: Haraka stores what came over the wire, dots doubled, lines ended by CRLF.

const CR = 0x0d
const LF = 0x0a
const DOT = 0x2e

/** Doubles the dot at the start of each line, and makes a bare LF CRLF: on the wire there is no other end of a line. */
export function createStuffer(): (piece: Uint8Array) => Buffer {
  let atLineStart = true
  let lastWasCr = false
  return (piece) => {
    const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.length)
    const out: Buffer[] = []
    let from = 0
    if (atLineStart && bytes[0] === DOT) out.push(Buffer.of(DOT))
    for (let at = bytes.indexOf(LF); at !== -1; at = bytes.indexOf(LF, at + 1)) {
      const afterCr = at === 0 ? lastWasCr : bytes[at - 1] === CR
      const dotNext = bytes[at + 1] === DOT
      if (afterCr && !dotNext) continue
      out.push(
        bytes.subarray(from, at),
        Buffer.from(`${afterCr ? '' : '\r'}\n${dotNext ? '.' : ''}`),
      )
      from = at + 1
    }
    out.push(bytes.subarray(from))
    if (bytes.length > 0) {
      const last = bytes[bytes.length - 1]
      atLineStart = last === LF
      lastWasCr = last === CR
    }
    return out.length === 1 ? bytes : Buffer.concat(out)
  }
}

/** The reverse, for a whole message in one piece. */
export function unstuff(bytes: Buffer): Buffer {
  const out: Buffer[] = []
  let from = bytes[0] === DOT ? 1 : 0
  for (let at = bytes.indexOf('\n.'); at !== -1; at = bytes.indexOf('\n.', at + 2)) {
    out.push(bytes.subarray(from, at + 1))
    from = at + 2
  }
  out.push(bytes.subarray(from))
  return Buffer.concat(out)
}
