// The words of the command line about reports of TLS, ours and those of others: RFC 8460.
import { createReadStream } from 'node:fs'
import type { Command } from 'commander'
import { PermError } from '../errors.ts'
import { asDay, asDomain } from './options.ts'
import type { Run } from './program.ts'
import { readReport } from './tlsrpt-read.ts'
import { showReceived } from './tlsrpt-received.ts'
import { askForReports, rehearseReports } from './tlsrpt-send.ts'
import { showCounts } from './tlsrpt.ts'

interface Json {
  readonly json?: boolean
}

interface SendWords extends Json {
  readonly dryRun?: boolean
  readonly domain?: string
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
    .command('send')
    .description('have the reports of days that are over made at once')
    .requiredOption('--now', 'without waiting for their time')
    .option('--dry-run', 'show them here, those of today too, and send nothing')
    .option('--domain <domain>', 'with --dry-run: this one alone', asDomain)
    .option('--json', 'for scripts')
    .action(async ({ dryRun = false, domain, json = false }: SendWords) => {
      if (!dryRun && domain !== undefined)
        throw new PermError('cli/usage', '--domain goes with --dry-run: reports are sent to all')
      await run((context) =>
        dryRun ? rehearseReports(context, { domain, json }) : askForReports(context),
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
