// A message in which nothing runs and nothing is loaded: each part of an active type says text/plain instead, its body stays.
// For what anybody on the way may have put together (EFAIL). A delimiter is whatever some program could take for one: RFC 2046
// section 5.1.1 with any line end, also behind the last part. Then no part is overlooked, at worst a line of text is changed.
import { PermError } from '../errors.ts'
import { whatIsBehind, withPlainType } from './active-types.ts'
import { createBoundaries, type Boundaries, type Place } from './boundaries.ts'
import { parseFields, type Field } from './header.ts'

export const ACTIVE_CONTENT = ['text', 'keep'] as const
export type ActiveContent = (typeof ACTIVE_CONTENT)[number]

export interface WithoutActiveContent {
  readonly fields: readonly Field[]
  readonly body: Uint8Array
  /** So many parts had an active type. */
  readonly changed: number
}

const DEPTH_MAX = 20
const PARTS_MAX = 1000
const PART_HEADER_MAX_BYTES = 262_144

/** PermError protection/limit: too many parts, too deep, or with too large a header. */
export function withoutActiveContent(
  fields: readonly Field[],
  body: Uint8Array,
): WithoutActiveContent {
  const text = latin1(body)
  const boundaries = createBoundaries()
  const out: string[] = []
  let copied = 0
  let parts = 0
  let changed = 0

  const judge = (header: string, { depth, isDigest }: Place) => {
    if (++parts > PARTS_MAX) throw limit(`more than ${PARTS_MAX} parts are inside`)
    if (depth > DEPTH_MAX) throw limit(`parts within parts, more than ${DEPTH_MAX} deep`)
    const clean = withoutControls(header)
    const read = parseFields(Buffer.from(clean, 'latin1'))
    const behind = whatIsBehind(read, isDigest)
    if (behind.kind === 'multipart')
      boundaries.add(behind.boundary, { depth: depth + 1, isDigest: behind.isDigest })
    if (behind.kind !== 'active') return { behind, fields: read, isChanged: clean !== header }
    changed++
    return { behind, fields: withPlainType(read), isChanged: true }
  }
  /** The header at `start`, and that of a message behind it. Where the body behind them begins. */
  const readHeader = (start: number, place: Place): number => {
    const end = endOfHeader(text, start, boundaries)
    if (end.fields === start && !place.isDigest) return end.body
    const judged = judge(text.slice(start, end.fields), place)
    if (judged.isChanged) {
      out.push(text.slice(copied, start), latin1(rawOf(judged.fields)))
      copied = end.fields
    }
    return judged.behind.kind === 'message'
      ? readHeader(end.body, { depth: place.depth + 1, isDigest: false })
      : end.body
  }

  const root = judge(latin1(rawOf(fields)), { depth: 1, isDigest: false })
  let at = root.behind.kind === 'message' ? readHeader(0, { depth: 2, isDigest: false }) : 0
  for (;;) {
    const found = boundaries.find(text, at, text.length)
    if (!found) break
    at = readHeader(endOfLine(text, found.at), found.place)
  }
  return {
    fields: root.isChanged ? root.fields : fields,
    body: out.length === 0 ? body : Buffer.from(out.join('') + text.slice(copied), 'latin1'),
    changed,
  }
}

function endOfLine(text: string, from: number): number {
  const line = /[^\r\n]*(?:\r\n|\r|\n)?/y
  line.lastIndex = from
  line.test(text)
  return line.lastIndex
}

/** Where the fields end, and where the body begins behind the empty line. A delimiter ends them too. */
function endOfHeader(
  text: string,
  start: number,
  boundaries: Boundaries,
): { fields: number; body: number } {
  const most = Math.min(text.length, start + PART_HEADER_MAX_BYTES)
  const last = boundaries.find(text, start, most)?.at ?? most
  const header = text.slice(start, last)
  const blank = /^(?=\r?\n)|\n(?=\r?\n)/.exec(header)
  if (blank) {
    const fields = start + blank.index + blank[0].length
    return { fields, body: text.indexOf('\n', fields) + 1 }
  }
  if (last === most && most < text.length) throw limit('the header of a part is too large')
  return { fields: last, body: last }
}

/** RFC 5322 section 2.2: no control character stands in a header. Some programs take a bare CR for the end of a line. */
function withoutControls(header: string): string {
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  return header.replaceAll(/[\0-\x08\x0b\x0c\x0e-\x1f]|\r(?!\n)/g, ' ')
}

function rawOf(fields: readonly Field[]): Uint8Array {
  return Buffer.concat(fields.map(({ raw }) => raw))
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}

function limit(reason: string): PermError {
  return new PermError('protection/limit', reason)
}
