// The words of the command line, and what each of them calls. The one importer of commander, with options.ts.
import { createReadStream } from 'node:fs'
import { Command } from 'commander'
import { PermError } from '../errors.ts'
import type { Period } from '../vault/contents.ts'
import { acceptParameters } from './accept.ts'
import type { Context } from './context.ts'
import { decrypt } from './decrypt.ts'
import { doctor } from './doctor/doctor.ts'
import { encrypt } from './encrypt.ts'
import type { ExitCode } from './exit-code.ts'
import { init } from './init.ts'
import { initKgc } from './init-kgc.ts'
import { inspect } from './inspect.ts'
import { asDomain, asPeriod, collectDomains, collectTexts } from './options.ts'
import { checkParameters, showParameters } from './params.ts'
import { addDomains } from './program-domains.ts'
import { addHeld } from './program-held.ts'
import { addCa } from './program-ca.ts'
import { addAccident, addKgc } from './program-keys.ts'
import { addLookup } from './program-lookup.ts'
import { addKeys } from './program-shared.ts'
import { addTls } from './program-tls.ts'
import { addTlsrpt } from './program-tlsrpt.ts'
import { changePassphrase, listVault } from './vault.ts'

/** Runs an action with a context that is closed after it. */
export type Run = (action: (context: Context) => Promise<ExitCode | void>) => Promise<void>

interface Json {
  readonly json?: boolean
}

export function buildProgram(
  version: string,
  runWith: (haraka: string | undefined) => Run,
): Command {
  const program = new Command('hisho')
    .description('Mail between organisations, encrypted and decrypted by the mail server.')
    .version(version)
    .option('--haraka <dir>', 'the directory of Haraka (default: $HARAKA, else where you are)')
    .helpCommand(true)
    .showSuggestionAfterError()
    .showHelpAfterError('(hisho --help, or hisho COMMAND --help, tells more)')
    .addHelpText(
      'after',
      '\nExit codes: 0 good, 64 usage, 65 data, 67 not for these recipients, 69 no key, 75 try again later,\n78 settings, others as in sysexits.h. Secrets are printed by `vault list --show-secrets` and `keys ... --show` only.',
    )
  const run: Run = (action) => runWith(program.opts<{ haraka?: string }>().haraka)(action)
  addInit(program, run)
  addKgc(program, run)
  addAccident(program, run)
  addKeys(program, run)
  addCa(program, run)
  addParams(program, run)
  addDomains(program, run)
  addLookup(program, run)
  addHeld(program, run)
  addTls(program, run)
  addTlsrpt(program, run)
  addFilters(program, run)
  addVault(program, run)
  addDoctor(program, run)
  return program
}

interface InitWords {
  readonly domain: readonly string[]
  readonly period: Period
  readonly apply?: boolean
  readonly kgc?: string
  readonly kgcCa?: string
  readonly kgcCert?: string
  readonly kgcKey?: string
}

function addInit(program: Command, run: Run): void {
  program
    .command('init')
    .description('make the files and keys for a Haraka directory, and say what is left to do')
    .requiredOption(
      '--domain <domain>',
      'a domain of yours; may be given again',
      collectDomains,
      [],
    )
    .option(
      '--period <period>',
      'how long an identity key holds: none, day, week, month',
      asPeriod,
      'month',
    )
    .option('--apply', 'also change config/plugins and connection.ini of Haraka')
    .option(
      '--kgc <url>',
      'keys come from a KGC on another machine, https://host:port: no vault here',
    )
    .option('--kgc-ca <file>', "who signs the KGC's certificate")
    .option('--kgc-cert <file>', 'the certificate of this gateway')
    .option('--kgc-key <file>', 'its key, mode 0600')
    .action(async (options: InitWords) => {
      const { domain: domains, period, apply = false, kgc } = options
      if (kgc === undefined) return run((context) => init(context, { domains, period, apply }))
      const { kgcCa: ca, kgcCert: certificate, kgcKey: key } = options
      if (ca === undefined || certificate === undefined || key === undefined)
        throw new PermError('cli/usage', '--kgc needs --kgc-ca, --kgc-cert and --kgc-key too')
      const files = { ca, certificate, key }
      return run((context) => initKgc(context, { domains, url: kgc, ...files, apply }))
    })
}

function addParams(program: Command, run: Run): void {
  const params = program.command('params').description('public parameters of domains')
  params
    .command('show')
    .description('what a domain publishes now')
    .argument('<domain>', 'any domain', asDomain)
    .option('--json', 'for scripts')
    .action(async (domain: string, { json = false }: Json) => {
      await run((context) => showParameters(context, domain, { json }))
    })
  params
    .command('check')
    .description(
      'exit 0 if senders can use it (69 none, 65 broken, 75 DNS failed or changed, 78 not as in the vault)',
    )
    .argument('<domain>', 'any domain', asDomain)
    .option('--json', 'for scripts')
    .action(async (domain: string, { json = false }: Json) => {
      await run((context) => checkParameters(context, domain, { json }))
    })
  params
    .command('accept')
    .description('what a domain publishes now is its own, whatever was remembered')
    .argument('<domain>', 'any domain', asDomain)
    .option('--yes', 'do not ask')
    .action(async (domain: string, { yes = false }: { yes?: boolean }) => {
      await run((context) => acceptParameters(context, domain, { yes }))
    })
}

function addFilters(program: Command, run: Run): void {
  program
    .command('encrypt')
    .description('a message from stdin to stdout, sealed for recipients of one domain')
    .option(
      '-r, --recipient <address>',
      'may be given again (default: To and Cc)',
      collectTexts,
      [],
    )
    .action(async ({ recipient }: { recipient: readonly string[] }) => {
      await run((context) => encrypt(context, process.stdin, recipient))
    })
  program
    .command('decrypt')
    .description(
      'a message from stdin to stdout, opened; nothing is written unless all of it is sound',
    )
    .option(
      '-r, --recipient <address>',
      'for whom it came; may be given again (default: Delivered-To and X-Original-To, else To and Cc)',
      collectTexts,
      [],
    )
    .option(
      '--deliver',
      'for a mailbox: with trace fields and Hisho-Decrypted, without forged ones',
    )
    .action(async (options: { recipient: readonly string[]; deliver?: boolean }) => {
      const { recipient, deliver = false } = options
      await run((context) => decrypt(context, process.stdin, { recipients: recipient, deliver }))
    })
  program
    .command('inspect')
    .description('what a message is, without keys')
    .argument('[file]', 'a message, or - for stdin', '-')
    .option('--json', 'for scripts')
    .action(async (file: string, { json = false }: Json) => {
      const source = file === '-' ? process.stdin : createReadStream(file)
      await run((context) => inspect(context, source, { json }))
    })
}

function addVault(program: Command, run: Run): void {
  const vault = program.command('vault').description('the file with the secrets')
  vault
    .command('passwd')
    .description('seal it under another passphrase ($HISHO_NEW_PASSPHRASE, a file, or asked for)')
    .option('--new-passphrase-file <file>', 'mode 0600')
    .action(async ({ newPassphraseFile }: { newPassphraseFile?: string }) => {
      await run((context) => changePassphrase(context, newPassphraseFile))
    })
  vault
    .command('list')
    .description('what is in it')
    .option('--json', 'for scripts')
    .option('--show-secrets', 'print the master keys too')
    .action(
      async ({ json = false, showSecrets = false }: { json?: boolean; showSecrets?: boolean }) => {
        await run((context) => listVault(context, { json, showSecrets }))
      },
    )
}

function addDoctor(program: Command, run: Run): void {
  program
    .command('doctor')
    .description('look at everything that must be right; exit 1 if something is not')
    .option('--haraka-package <path>', 'where the program Haraka is installed')
    .option('--json', 'for scripts')
    .action(async ({ harakaPackage, json = false }: Json & { harakaPackage?: string }) => {
      await run((context) => doctor(context, { json, harakaPackage }))
    })
}
