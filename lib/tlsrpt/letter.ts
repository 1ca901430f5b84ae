// A report on its way: its texts, compressed, and how it goes by mail. RFC 8460 sections 5.1 to 5.3.
import { randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { gzip, gzipSync } from 'node:zlib'
import { beginOf, endOf, type Day } from './day.ts'
import { formatReport, type PolicyReport, type Report } from './report.ts'

export interface Submitter {
  readonly organization: string
  /** Addresses. */
  readonly contact: string
  readonly from: string
  /** Of those who count together: two who count apart have two reports. Letters and digits. */
  readonly id: string
}

export interface Letter {
  readonly reportId: string
  readonly reportDomain: string
  readonly submitter: string
  readonly fileName: string
  readonly json: string
  readonly compressed: Uint8Array
}

/** For a short text a thread costs more than the work. */
const LONG = 65_536

const inThread = promisify(gzip)

async function compress(text: string): Promise<Uint8Array> {
  return text.length > LONG ? inThread(text) : gzipSync(text)
}

/** The same report has the same id, whoever makes it when: whoever gets it twice can know. */
export function makeReport(
  name: string,
  day: Day,
  policies: readonly PolicyReport[],
  { organization, contact, id }: Submitter,
): Report {
  return {
    organizationName: organization,
    contactInfo: contact,
    reportId: `${day}.${name}.${id}@${domainOf(contact)}`,
    beginsAtMs: beginOf(day),
    endsAtMs: endOf(day) - 1000,
    policies,
  }
}

export async function makeLetter(name: string, report: Report, id: string): Promise<Letter> {
  const { reportId, contactInfo, beginsAtMs, endsAtMs } = report
  const submitter = domainOf(contactInfo)
  const begin = Math.floor((beginsAtMs ?? 0) / 1000)
  const end = Math.floor((endsAtMs ?? 0) / 1000)
  const json = formatReport(report)
  return {
    reportId,
    reportDomain: name,
    submitter,
    // RFC 8460 section 5.1.
    fileName: `${submitter}!${name}!${begin}!${end}!${id}.json.gz`,
    json,
    compressed: await compress(json),
  }
}

/** RFC 8460 section 5.3: both fields are for the DKIM signature to cover. */
export function formatMail(
  letter: Letter,
  from: Submitter,
  to: string,
  nowMs: number,
  place: number,
): string {
  const { reportDomain, submitter, reportId, fileName } = letter
  const boundary = `=_${randomBytes(18).toString('base64url')}`
  const [local, domain] = splitAddress(reportId)
  const lines = [
    `From: ${displayName(from.organization)} <${from.from}>`,
    `To: <${to}>`,
    `Date: ${new Date(nowMs).toUTCString().replace('GMT', '+0000')}`,
    // Of the report, and of the place among those who get it.
    `Message-ID: <${local}.${place}@${domain}>`,
    `Subject: Report Domain: ${reportDomain}`,
    ` Submitter: ${submitter}`,
    ` Report-ID: <${reportId}>`,
    `TLS-Report-Domain: ${reportDomain}`,
    `TLS-Report-Submitter: ${submitter}`,
    // RFC 8689 section 3, as RFC 8460 section 3 wants it: it is delivered in spite of what it tells of.
    'TLS-Required: No',
    'Auto-Submitted: auto-generated', // RFC 3834 section 5
    'MIME-Version: 1.0',
    'Content-Type: multipart/report; report-type="tlsrpt";',
    ` boundary="${boundary}"`,
    '',
    `--${boundary}`,
    'Content-Type: text/plain; charset=us-ascii',
    '',
    `This is an aggregate report on TLS, from ${submitter}, on mail that was sent`,
    `to ${reportDomain}. It is for programs to read: RFC 8460.`,
    '',
    `--${boundary}`,
    'Content-Type: application/tlsrpt+gzip',
    'Content-Transfer-Encoding: base64',
    'Content-Disposition: attachment;',
    ` filename="${fileName}"`,
    '',
    ...(Buffer.from(letter.compressed)
      .toString('base64')
      .match(/.{1,76}/g) ?? []),
    '',
    `--${boundary}--`,
    '',
  ]
  return lines.join('\r\n')
}

function domainOf(address: string): string {
  return splitAddress(address)[1]
}

function splitAddress(address: string): readonly [string, string] {
  const at = address.lastIndexOf('@')
  return [address.slice(0, at), address.slice(at + 1)]
}

/** RFC 5322 section 3.2.4, or RFC 2047 section 4.1. */
function displayName(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text)) return `"${text.replaceAll(/["\\]/g, '\\$&')}"`
  const words: string[] = []
  let word = ''
  // RFC 2047 section 2: no encoded word has more than 75 characters, nor part of a letter.
  for (const letter of text) {
    if (Buffer.byteLength(word + letter) > 42) words.push(word)
    word = Buffer.byteLength(word + letter) > 42 ? letter : word + letter
  }
  return [...words, word]
    .map((part) => `=?UTF-8?B?${Buffer.from(part).toString('base64')}?=`)
    .join('\r\n ')
}
