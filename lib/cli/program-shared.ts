// The words of the command line that are about keys of schemes without a directory: those that sites give to each other.
import type { Command } from 'commander'
import type { CarryOptions } from './key-carrier.ts'
import {
  exportSharedKey,
  importSharedKey,
  listSharedKeys,
  newSharedKey,
  retireSharedKey,
} from './keys.ts'
import { asDomain } from './options.ts'
import type { Run } from './program.ts'

interface Shared {
  readonly shared: string
}

const SITE = ['--shared <site>', 'the other domain', asDomain] as const

export function addKeys(program: Command, run: Run): void {
  const keys = program.command('keys').description('keys that we share with other sites')
  withCarriage(
    keys
      .command('new')
      .description('a new key for a site, kept in the vault, and for the other side if told how')
      .requiredOption(...SITE)
      .option('--id <id>', 'by which both sides know it (default: the day, and something random)'),
  ).action(async ({ shared: site, id, ...carriage }: Shared & CarryOptions & { id?: string }) => {
    await run((context) => newSharedKey(context, { site, id, carriage }))
  })
  withCarriage(
    keys
      .command('export')
      .description('a key of the vault for the other side')
      .requiredOption(...SITE)
      .requiredOption('--id <id>', 'of the key'),
  ).action(async ({ shared: site, id, ...carriage }: Shared & CarryOptions & { id: string }) => {
    await run((context) => exportSharedKey(context, { site, id }, carriage))
  })
  addImport(keys, run)
  keys
    .command('list')
    .description('all of them, without secrets')
    .option(...SITE)
    .option('--json', 'for scripts')
    .action(async ({ shared: site, json = false }: Partial<Shared> & { json?: boolean }) => {
      await run((context) => listSharedKeys(context, { site, json }))
    })
  keys
    .command('retire')
    .description('from now on nothing is sealed or opened with a key')
    .requiredOption(...SITE)
    .requiredOption('--id <id>', 'of the key')
    .option('--yes', 'do not ask')
    .action(async ({ shared: site, id, yes = false }: Shared & { id: string; yes?: boolean }) => {
      await run((context) => retireSharedKey(context, { site, id }, { yes }))
    })
}

function addImport(keys: Command, run: Run): void {
  keys
    .command('import')
    .description('a key that the other side has exported')
    .argument('<file>', 'what they sent, or - for stdin')
    .requiredOption(...SITE)
    .option('--identity <file>', 'with the age key that it is sealed to')
    .option('--passphrase-file <file>', 'with its passphrase, mode 0600')
    .action(
      async (
        file: string,
        options: Shared & { readonly identity?: string; readonly passphraseFile?: string },
      ) => {
        const { shared: site, identity: identityFile, passphraseFile } = options
        const how = {
          ...(identityFile && { identityFile }),
          ...(passphraseFile && { passphraseFile }),
        }
        await run((context) => importSharedKey(context, { site, file, ...how }))
      },
    )
}

function withCarriage(command: Command): Command {
  return command
    .option('--to <recipient>', 'seal it for the age key of the other operators, age1...')
    .option('--passphrase', 'seal it under a passphrase: $HISHO_KEY_PASSPHRASE, else asked for')
    .option('--passphrase-file <file>', 'seal it under the passphrase in a file, mode 0600')
    .option('--out <file>', 'where the sealed key goes (default: hisho-key-ID.age)')
    .option('--show', 'print the key itself, in clear')
}
