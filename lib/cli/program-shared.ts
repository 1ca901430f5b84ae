// The words of the command line that are about keys of schemes without a directory: those that sites give to each other.
import type { Command } from 'commander'
import { PermError } from '../errors.ts'
import { newAgeIdentity, retireAgeIdentity } from './age-keys.ts'
import type { CarryOptions } from './key-carrier.ts'
import { exportSharedKey, importSharedKey, newSharedKey, retireSharedKey } from './keys.ts'
import { listKeys } from './key-rows.ts'
import { asDomain } from './options.ts'
import { addPins } from './program-lookup.ts'
import type { Run } from './program.ts'

interface Shared {
  readonly shared: string
}

/** Of which scheme, and whose. */
interface Whose {
  readonly shared?: string
  readonly age?: string
}

const SITE = ['--shared <site>', 'a key shared with this other domain', asDomain] as const
const OWN = ['--age <domain>', 'an age identity of this domain of yours', asDomain] as const

export function addKeys(program: Command, run: Run): void {
  const keys = program
    .command('keys')
    .description('keys that we share with other sites, identities for age, and keys of others')
  addNew(keys, run)
  addPins(keys, run)
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
    .option('--site <domain>', 'of this domain only', asDomain)
    .option('--json', 'for scripts')
    .action(async ({ site, json = false }: { site?: string; json?: boolean }) => {
      await run((context) => listKeys(context, { site, json }))
    })
  keys
    .command('retire')
    .description('from now on nothing is sealed or opened with a key')
    .option(...SITE)
    .option(...OWN)
    .requiredOption('--id <id>', 'of the key')
    .option('--yes', 'do not ask')
    .action(async (options: Whose & { id: string; yes?: boolean }) => {
      const { id, yes = false } = options
      const { shared: site, age: domain } = oneOf(options)
      await run((context) =>
        domain === undefined
          ? retireSharedKey(context, { site, id }, { yes })
          : retireAgeIdentity(context, { domain, id }, { yes }),
      )
    })
}

function addNew(keys: Command, run: Run): void {
  withCarriage(
    keys
      .command('new')
      .description('a new key, kept in the vault; a shared one for the other side too, if told how')
      .option(...SITE)
      .option(...OWN)
      .option('--pq', 'an identity that withstands quantum computers (age1pq1...)')
      .option('--id <id>', 'by which it is known (default: the day, and something random)'),
  ).action(async (options: Whose & CarryOptions & { id?: string; pq?: boolean }) => {
    const { shared: _shared, age: _age, id, pq, ...carriage } = options
    const { shared: site, age: domain } = oneOf(options)
    if (domain === undefined) {
      if (pq) throw new PermError('cli/usage', '--pq is for --age')
      return run((context) => newSharedKey(context, { site, id, carriage }))
    }
    if (Object.keys(carriage).length > 0)
      throw new PermError('cli/usage', 'an identity of your own is not for others: see --shared')
    const kind = pq ? 'mlkem768x25519' : 'x25519'
    return run((context) => newAgeIdentity(context, { domain, kind, id }))
  })
}

function oneOf({
  shared,
  age,
}: Whose): { shared: string; age?: undefined } | { shared?: undefined; age: string } {
  if (shared !== undefined && age === undefined) return { shared }
  if (age !== undefined && shared === undefined) return { age }
  throw new PermError('cli/usage', 'one of --shared SITE and --age DOMAIN')
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
