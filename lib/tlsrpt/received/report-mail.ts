// The report in a mail, RFC 8460 section 5.3: the only part that says it is one. What stands in the subject or in a file's
// name counts for nothing, section 5.6.
import { contentTypeOf, type ContentType } from '../../mail/content-type.ts'
import {
  fieldsNamed,
  fieldValue,
  findBlankLine,
  parseFields,
  type Field,
} from '../../mail/header.ts'

const MAX_DEPTH = 5
const MAX_PARTS = 50
const MAX_HEADER_BYTES = 64 * 1024

const REPORT_TYPES = new Set(['application/tlsrpt+gzip', 'application/tlsrpt+json'])
/** Inside multipart/report; report-type=tlsrpt, for senders who do not name the media type. */
const LOOSE_TYPES = new Set([
  'application/gzip',
  'application/x-gzip',
  'application/json',
  'application/octet-stream',
])

/** `claim`: it says that it is a report, and has none that can be found. */
export type ReportInMail =
  | { readonly status: 'found'; readonly report: Uint8Array }
  | { readonly status: 'claim'; readonly reason: string }
  | { readonly status: 'none' }

/** Whether the header says that a report is inside, so that a body need not be read for it. */
export function saysReport(fields: readonly Field[]): boolean {
  const type = contentTypeOf(fields)
  return type !== undefined && (isReportRoot(type) || type.type.startsWith('multipart/'))
}

/** Of the whole message, its lines ending in CRLF or LF. Total. */
export function findReport(message: Uint8Array): ReportInMail {
  const walk: Walk = { parts: 0, isReport: false }
  const report = search(asBuffer(message), 0, walk)
  if (report) return { status: 'found', report }
  if (!walk.isReport) return { status: 'none' }
  return { status: 'claim', reason: 'mail: no part of it is application/tlsrpt+gzip or +json' }
}

interface Walk {
  parts: number
  isReport: boolean
}

function search(entity: Buffer, depth: number, walk: Walk): Uint8Array | undefined {
  walk.parts += 1
  if (depth > MAX_DEPTH || walk.parts > MAX_PARTS) return undefined
  const { fields, body } = split(entity)
  const type = contentTypeOf(fields)
  if (type === undefined) return undefined
  if (isReportRoot(type)) walk.isReport = true
  if (REPORT_TYPES.has(type.type) || (walk.isReport && LOOSE_TYPES.has(type.type)))
    return decoded(fields, body)
  const boundary = type.parameters.get('boundary')
  if (!type.type.startsWith('multipart/') || !boundary) return undefined
  for (const part of partsOf(body, boundary)) {
    const found = search(part, depth + 1, walk)
    if (found || walk.parts > MAX_PARTS) return found
  }
  return undefined
}

function isReportRoot({ type, parameters }: ContentType): boolean {
  return (
    REPORT_TYPES.has(type) ||
    (type === 'multipart/report' && parameters.get('report-type')?.toLowerCase() === 'tlsrpt')
  )
}

function split(entity: Buffer): { fields: readonly Field[]; body: Buffer } {
  const head = entity.subarray(0, MAX_HEADER_BYTES)
  const crlf = findBlankLine(head)
  const lf = head[0] === 0x0a ? 0 : head.indexOf('\n\n') + 1
  // Whichever comes first; a header alone has no empty line.
  const isLf = (lf > 0 || head[0] === 0x0a) && (crlf === -1 || lf < crlf)
  const end = isLf ? lf : crlf
  if (end === -1) return { fields: parseFields(head), body: Buffer.alloc(0) }
  return {
    fields: parseFields(entity.subarray(0, end)),
    body: entity.subarray(end + (isLf ? 1 : 2)),
  }
}

/** RFC 2046 section 5.1.1. The last delimiter may be missing. */
function* partsOf(body: Buffer, boundary: string): Generator<Buffer> {
  const mark = Buffer.from(`--${boundary}`, 'latin1')
  let start: number | undefined
  for (let at = body.indexOf(mark); at !== -1; at = body.indexOf(mark, at + mark.length)) {
    if (at > 0 && body[at - 1] !== 0x0a) continue
    const lineEnd = body.indexOf(0x0a, at)
    const rest = body.toString('latin1', at + mark.length, lineEnd === -1 ? undefined : lineEnd)
    if (!/^(?:--)?[ \t]*\r?$/.test(rest.slice(0, 100))) continue
    if (start !== undefined) yield withoutLineEnd(body.subarray(start, at))
    if (rest.startsWith('--') || lineEnd === -1) return
    start = lineEnd + 1
  }
  if (start !== undefined) yield body.subarray(start)
}

/** The line end before a delimiter is the delimiter's. */
function withoutLineEnd(part: Buffer): Buffer {
  const end = part.at(-1) === 0x0a ? part.length - 1 : part.length
  return part.subarray(0, part[end - 1] === 0x0d ? end - 1 : end)
}

function decoded(fields: readonly Field[], body: Buffer): Uint8Array {
  const [field] = fieldsNamed(fields, 'content-transfer-encoding')
  const encoding = field === undefined ? '' : fieldValue(field).toLowerCase()
  if (encoding === 'base64') return Buffer.from(body.toString('latin1'), 'base64')
  if (encoding !== 'quoted-printable') return body
  const text = body
    .toString('latin1')
    .split('\n')
    .map((line) => `${line.trimEnd()}\n`) // RFC 2045 section 6.7: what was added on the way
    .join('')
    .replaceAll('=\n', '')
    .replaceAll(/=([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number(`0x${hex}`)))
  return Buffer.from(text, 'latin1')
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}
