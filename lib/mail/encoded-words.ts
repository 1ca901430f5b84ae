// Unstructured header text with encoded-words, RFC 2047, read as forgivingly as the programs of readers do.

const WORD = /=\?([^?*\s]+)(?:\*[^?\s]*)?\?([bq])\?([^?]*)\?=/gi
/** In base64, with a name in front, on a line of 76. */
const LONGEST_WORD_BYTES = 39

/** What a reader sees. Total. */
export function decodeWords(raw: string): string {
  // RFC 2047 section 6.2: white space between two of them is not shown.
  const text = raw.replaceAll(/(\?=)\s+(?==\?)/g, '$1')
  let shown = ''
  let end = 0
  let waiting: { charset: string; bytes: Buffer } | undefined
  const flush = (): void => {
    if (waiting) shown += decodeBytes(waiting.charset, waiting.bytes)
    waiting = undefined
  }
  for (const match of text.matchAll(WORD)) {
    const [whole, charset = '', encoding = '', content = ''] = match
    const between = text.slice(end, match.index)
    const bytes = decodeContent(encoding, content)
    // A character may be cut in two: words of one charset that follow each other are one.
    if (between === '' && waiting?.charset === charset.toLowerCase())
      waiting = { charset: waiting.charset, bytes: Buffer.concat([waiting.bytes, bytes]) }
    else {
      flush()
      shown += between
      waiting = { charset: charset.toLowerCase(), bytes }
    }
    end = match.index + whole.length
  }
  flush()
  return shown + text.slice(end)
}

function decodeContent(encoding: string, content: string): Buffer {
  if (encoding.toLowerCase() === 'b') return Buffer.from(content, 'base64')
  // RFC 2047 section 4.2: an underscore is a space.
  const text = content
    .replaceAll('_', ' ')
    .replaceAll(/=([0-9A-F]{2})/gi, (_all, hex: string) => String.fromCodePoint(parseInt(hex, 16)))
  return Buffer.from(text, 'latin1')
}

function decodeBytes(charset: string, bytes: Buffer): string {
  if (charset === 'utf-7') return decodeUtf7(bytes.toString('latin1'))
  try {
    return new TextDecoder(charset).decode(bytes)
  } catch {
    return bytes.toString('latin1')
  }
}

/** RFC 2152. Node does not know it; some programs do. */
function decodeUtf7(text: string): string {
  return text.replaceAll(/\+([A-Za-z0-9+/]*)-?/g, (_all, packed: string) => {
    if (packed === '') return '+'
    const bytes = Buffer.from(packed, 'base64')
    return Buffer.from(bytes.subarray(0, bytes.length - (bytes.length % 2)))
      .swap16()
      .toString('utf16le')
  })
}

/** For a field's value: as it is where it is short ASCII, else in encoded-words, folded. */
export function encodeWords(text: string): string {
  const shown = text.replaceAll(/\p{Cc}/gu, ' ')
  if (/^[ -~]{0,900}$/.test(shown) && !shown.includes('=?')) return shown
  const words: string[] = []
  let piece = ''
  for (const char of shown) {
    if (Buffer.byteLength(piece + char) > LONGEST_WORD_BYTES) {
      words.push(piece)
      piece = ''
    }
    piece += char
  }
  words.push(piece)
  return words.map((word) => `=?UTF-8?B?${Buffer.from(word).toString('base64')}?=`).join('\r\n ')
}
