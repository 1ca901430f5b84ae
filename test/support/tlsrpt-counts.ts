// What Haraka has kept of TLS sessions, and the reports that it mails.
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import { readLines } from '../../lib/tlsrpt/count-lines.ts'
import { parseReport } from '../../lib/tlsrpt/parse-report.ts'
import { findReport } from '../../lib/tlsrpt/received/report-mail.ts'
import type { SmtpMta } from './smtp-mta.ts'
import { assertIsReport } from './tlsrpt-schema.ts'

/** By domain, such as `+5 -2`: good sessions, and failed ones. */
type Sums = ReadonlyMap<string, string>

/** For `report` of hisho.tlsrpt.ini. */
export const REPORT_INI = '[report]\nfrom=tls@a.example\norganization=A Example\nmax_delay=0\n'

/** By process, from its files of all days in the directory of a Haraka. */
export async function keptBy(haraka: string): Promise<ReadonlyMap<number, Sums>> {
  const found = new Map<number, Map<string, string>>()
  const days = join(haraka, 'config', 'hisho.store', 'tlsrpt')
  for (const day of existsSync(days) ? readdirSync(days) : [])
    for (const file of readdirSync(join(days, day)).filter((name) => name.endsWith('.counts'))) {
      const pid = Number.parseInt(file, 10)
      const sums = found.get(pid) ?? new Map<string, string>()
      found.set(pid, sums)
      const part = { part: 0, of: 1, kind: 'domains' } as const
      for await (const count of readLines(join(days, day, file), part, () => {}))
        add(sums, count.name, count.successfulSessions, count.failedSessions)
    }
  return found
}

/** Of all processes: `b.example +5 -2`, in the order of the names. */
export async function kept(haraka: string): Promise<readonly string[]> {
  const all = new Map<string, string>()
  for (const sums of (await keptBy(haraka)).values())
    for (const [name, text] of sums) {
      const [good, bad] = numbers(text)
      add(all, name, good, bad)
    }
  return lines(all)
}

/** As `kept`, of all reports that came; an error if one domain has two. */
export async function reported(mta: SmtpMta): Promise<readonly string[]> {
  const sums = new Map<string, string>()
  for (const { message } of mta.deliveries) {
    const found = findReport(Buffer.from(message, 'latin1'))
    if (found.status !== 'found') continue
    assertIsReport(gunzipSync(found.report).toString())
    const { policies, reportId } = await parseReport(found.report)
    const [, domain = ''] = /^\d{4}-\d\d-\d\d\.(\S+)\.\w+@/.exec(reportId) ?? []
    if (sums.has(domain)) throw new Error(`two reports on ${domain}`)
    for (const { successfulSessions, failedSessions } of policies)
      add(sums, domain, successfulSessions, failedSessions)
  }
  return lines(sums)
}

function lines(sums: Sums): readonly string[] {
  return [...sums].map(([name, text]) => `${name} ${text}`).toSorted()
}

export async function until(isDone: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const endMs = Date.now() + 60_000 // where others need the machine too
  while (!(await isDone())) {
    if (Date.now() > endMs) throw new Error(`not in time: ${what}`)
    await wait(50)
  }
}

function add(sums: Map<string, string>, name: string, good: number, bad: number): void {
  const [before, failed] = numbers(sums.get(name) ?? '+0 -0')
  sums.set(name, `+${before + good} -${failed + bad}`)
}

function numbers(text: string): [number, number] {
  const [good = 0, bad = 0] = text.split(' ').map((one) => Math.abs(Number(one)))
  return [good, bad]
}
