// The words of the command line about reports of TLS, ours and those of others: RFC 8460.
import type { Command } from 'commander'
import { asDay, asDomain } from './options.ts'
import type { Run } from './program.ts'
import { showCounts } from './tlsrpt.ts'

interface Json {
  readonly json?: boolean
}

export function addTlsrpt(program: Command, run: Run): void {
  const tlsrpt = program.command('tlsrpt').description('what happens to TLS, and the reports of it')
  tlsrpt
    .command('show')
    .description('what was counted here on the way to other domains (1 if something failed)')
    .option('--domain <domain>', 'this one alone', asDomain)
    .option('--since <day>', 'from this day of UTC on (default: all that is kept)', asDay)
    .option('--json', 'for scripts')
    .action(async ({ domain, since, json = false }: Json & { domain?: string; since?: string }) => {
      await run((context) => showCounts(context, { domain, since, json }))
    })
}
