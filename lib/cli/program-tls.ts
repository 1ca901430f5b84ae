// The words of the command line about the way of mail: what other domains promise, and what ours do.
import type { Command } from 'commander'
import { checkPolicy, showPolicy } from './mta-sts.ts'
import { asDomain, asPort } from './options.ts'
import type { Run } from './program.ts'
import { listPolicies, purgePolicy } from './tls-cache.ts'
import { checkTls } from './tls-check.ts'
import { showTlsa } from './tlsa.ts'

interface Json {
  readonly json?: boolean
}

export function addTls(program: Command, run: Run): void {
  const tls = program.command('tls').description('what domains promise of TLS, and keep')
  addCheck(tls, run)
  addCache(tls, run)
  addTlsa(program, run)
  const mtaSts = program.command('mta-sts').description('the MTA-STS policies of our own domains')
  mtaSts
    .command('show')
    .description('the TXT record to publish, and the policy that is served')
    .argument('<domain>', 'a domain of ours', asDomain)
    .option('--json', 'for scripts')
    .action(async (domain: string, { json = false }: Json) => {
      await run((context) => showPolicy(context, domain, { json }))
    })
  mtaSts
    .command('check')
    .description(
      'whether our own MX hosts satisfy the policy (1 if not); if they do, enforce is served',
    )
    .argument('<domain>', 'a domain of ours', asDomain)
    .option('--json', 'for scripts')
    .action(async (domain: string, { json = false }: Json) => {
      await run((context) => checkPolicy(context, domain, { json }))
    })
}

function addCache(tls: Command, run: Run): void {
  const cache = tls.command('cache').description('the MTA-STS policies that are remembered')
  cache
    .command('list', { isDefault: true })
    .option('--json', 'for scripts')
    .action(async ({ json = false }: Json) => {
      await run((context) => listPolicies(context, { json }))
    })
  cache
    .command('purge')
    .description('forget the policy of a domain; the next mail fetches it anew')
    .argument('<domain>', 'any domain', asDomain)
    .action(async (domain: string) => {
      await run((context) => purgePolicy(context, domain))
    })
}

function addCheck(tls: Command, run: Run): void {
  tls
    .command('check')
    .description(
      'what a domain promises, and whether its servers keep it (1 not all, 69 no server, 75 mail would wait)',
    )
    .argument('<domain>', 'any domain', asDomain)
    .option('--json', 'for scripts')
    .action(async (domain: string, { json = false }: Json) => {
      await run((context) => checkTls(context, domain, { json }))
    })
}

function addTlsa(program: Command, run: Run): void {
  program
    .command('tlsa')
    .description('the TLSA records to publish for a mail server')
    .argument('<host>', 'as in the MX record', asDomain)
    .option(
      '--cert <file>',
      'its certificate and those of its issuers (PEM); without it the host is asked',
    )
    .option('--port <port>', 'default 25', asPort)
    .option('--json', 'for scripts')
    .action(async (host: string, options: Json & { cert?: string; port?: number }) => {
      const { cert: certificateFile, port, json = false } = options
      await run((context) => showTlsa(context, host, { certificateFile, port, json }))
    })
}
