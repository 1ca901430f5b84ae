// The words of the command line about reports of TLS, ours and those of others: RFC 8460.
import { createReadStream } from 'node:fs'
import type { Command } from 'commander'
import { asDay, asDomain } from './options.ts'
import type { Run } from './program.ts'
import { readReport } from './tlsrpt-read.ts'
import { showReceived } from './tlsrpt-received.ts'
import { showCounts } from './tlsrpt.ts'

interface Json {
  readonly json?: boolean
}

interface ShowWords extends Json {
  readonly received?: boolean
  readonly domain?: string
  readonly since?: string
}

export function addTlsrpt(program: Command, run: Run): void {
  const tlsrpt = program.command('tlsrpt').description('what happens to TLS, and the reports of it')
  tlsrpt
    .command('show')
    .description('what was counted here on the way to other domains (1 if something failed)')
    .option('--received', 'in place of it, what others report of TLS to our domains')
    .option('--domain <domain>', 'this one alone', asDomain)
    .option('--since <day>', 'from this day of UTC on (default: all that is kept)', asDay)
    .option('--json', 'for scripts')
    .action(async ({ received = false, domain, since, json = false }: ShowWords) => {
      const filter = { domain, since, json }
      await run((context) =>
        received ? showReceived(context, filter) : showCounts(context, filter),
      )
    })
  tlsrpt
    .command('read')
    .description('what a report says, and what to do about it')
    .argument('[file]', 'JSON, gzip, or a mail with one of them; - for stdin', '-')
    .option('--json', 'for scripts')
    .action(async (file: string, { json = false }: Json) => {
      const source = file === '-' ? process.stdin : createReadStream(file)
      await run((context) => readReport(context, source, { json }))
    })
}
