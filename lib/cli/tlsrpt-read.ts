// `hisho tlsrpt read`: what a report says, whoever sent it, and what to do about it.
import { collect } from '../mail/message.ts'
import { PermError } from '../errors.ts'
import { parseReport, type ReportLimits } from '../tlsrpt/parse-report.ts'
import { findReport } from '../tlsrpt/received/report-mail.ts'
import type { ReceivedReport } from '../tlsrpt/received/report.ts'
import type { Context } from './context.ts'
import { describeReport, printReport } from './tlsrpt-view.ts'

/** A person has it on disk, and waits for it. */
const LIMITS: ReportLimits = { sizeBytes: 32 * 1024 * 1024, inflatedBytes: 64 * 1024 * 1024 }

/** JSON, gzip, or a mail with one of them in it. */
export async function readReport(
  { terminal }: Context,
  source: AsyncIterable<Uint8Array>,
  { json }: { readonly json: boolean },
): Promise<void> {
  const report = await reportIn(await collect(source))
  if (json) terminal.json(describeReport(report))
  else printReport(terminal, report)
}

async function reportIn(bytes: Uint8Array): Promise<ReceivedReport> {
  // JSON begins with a brace, after blanks or a byte order mark, and gzip with its mark: a mail with none of them.
  const start = Buffer.from(bytes.subarray(0, 64)).toString('latin1')
  if (bytes[0] === 0x1f || /^(?:\u00EF\u00BB\u00BF)?\s*\{/.test(start))
    return parseReport(bytes, LIMITS)
  const found = findReport(bytes)
  if (found.status === 'found') return parseReport(found.report, LIMITS)
  throw new PermError('tlsrpt/malformed', 'neither JSON, nor gzip, nor a mail with a report in it')
}
