// The words of the command line that are about keys of schemes without a directory: those that sites give to each other.
import type { Command } from 'commander'
import { PermError } from '../errors.ts'
import { newAgeIdentity, retireAgeIdentity } from './age-keys.ts'
import type { CarryOptions } from './key-carrier.ts'
import { exportSharedKey, importSharedKey, newSharedKey, retireSharedKey } from './keys.ts'
import { listKeys } from './key-rows.ts'
import { asDomain } from './options.ts'
import { addPins } from './program-lookup.ts'
import {
  addLifeOfKeys,
  expiresOption,
  OPENPGP_OWNER,
  runExport,
  runImport,
  runNew,
  runRetire,
  typeOption,
  USER,
  type NewWords as OpenPgpNewWords,
  type OwnerWords,
} from './program-openpgp.ts'
import {
  csrOption,
  exportOf,
  importOf,
  newOf,
  retireOf,
  SMIME_OWNER,
  smimeTypeOption,
  type SmimeWords,
} from './program-smime.ts'
import type { Run } from './program.ts'

/** Of which scheme, and whose: one of them. */
interface Whose {
  readonly shared?: string
  readonly age?: string
  readonly openpgp?: string
  readonly smime?: string
}

const SITE = ['--shared <site>', 'a key shared with this other domain', asDomain] as const
const OWN = ['--age <domain>', 'an age identity of this domain of yours', asDomain] as const

export function addKeys(program: Command, run: Run): void {
  const keys = program
    .command('keys')
    .description('our own keys for mail, those that we share with other sites, and keys of others')
  addNew(keys, run)
  addPins(keys, run)
  addExport(keys, run)
  addImport(keys, run)
  addLifeOfKeys(keys, run)
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
    .option(...OPENPGP_OWNER)
    .option(...SMIME_OWNER)
    .option(...USER)
    .requiredOption('--id <id>', 'of the key')
    .option('--yes', 'do not ask')
    .action(
      async (options: Whose & Omit<OwnerWords, 'openpgp'> & { id: string; yes?: boolean }) => {
        const { id, yes = false } = options
        const { scheme, name } = oneOf(options, OWNED)
        if (scheme === 'openpgp') return runRetire(run, { ...options, openpgp: name })
        if (scheme === 'smime') return retireOf(run, { domain: name, id, yes })
        return run((context) =>
          scheme === 'shared'
            ? retireSharedKey(context, { site: name, id }, { yes })
            : retireAgeIdentity(context, { domain: name, id }, { yes }),
        )
      },
    )
}

type NewWords = Whose &
  CarryOptions &
  Omit<OpenPgpNewWords, 'openpgp'> &
  SmimeWords & { readonly pq?: boolean }

function addNew(keys: Command, run: Run): void {
  withCarriage(
    keys
      .command('new')
      .description('a new key, kept in the vault; a shared one for the other side too, if told how')
      .option(...SITE)
      .option(...OWN)
      .option('--pq', 'an identity that withstands quantum computers (age1pq1...)')
      .option('--id <id>', 'by which it is known (default: the day, and something random)')
      .option(...OPENPGP_OWNER)
      .option(...SMIME_OWNER)
      .addOption(csrOption())
      .addOption(smimeTypeOption())
      .option(...USER)
      .addOption(typeOption())
      .addOption(expiresOption()),
  ).action(async (options: NewWords) => {
    const { scheme, name } = oneOf(options, OWNED)
    if (scheme === 'smime') return newOf(run, name, options)
    const { shared: _s, age: _a, openpgp: _o, id, pq, user, type, expires, ...carriage } = options
    if (pq && scheme !== 'age') throw new PermError('cli/usage', '--pq is for --age')
    if (scheme !== 'openpgp' && (user ?? type ?? expires) !== undefined)
      throw new PermError('cli/usage', '--user, --type and --expires are for --openpgp')
    if (scheme === 'shared')
      return run((context) => newSharedKey(context, { site: name, id, carriage }))
    if (Object.keys(carriage).length > 0)
      throw new PermError('cli/usage', 'a key of your own is not for others: see --shared')
    if (scheme === 'age') {
      const kind = pq ? 'mlkem768x25519' : 'x25519'
      return run((context) => newAgeIdentity(context, { domain: name, kind, id }))
    }
    if (id !== undefined)
      throw new PermError('cli/usage', 'an OpenPGP key is known by its fingerprint')
    return runNew(run, { ...options, openpgp: name })
  })
}

const OWNED = ['shared', 'age', 'openpgp', 'smime'] as const
const CARRIED = ['shared', 'openpgp', 'smime'] as const

function oneOf<Scheme extends keyof Whose>(
  options: Whose,
  schemes: readonly Scheme[],
): { readonly scheme: Scheme; readonly name: string } {
  const [found, ...more] = schemes.flatMap((scheme) => {
    const name = options[scheme]
    return name === undefined ? [] : [{ scheme, name }]
  })
  if (found && more.length === 0) return found
  throw new PermError('cli/usage', `one of ${schemes.map((name) => `--${name}`).join(', ')}`)
}

function addExport(keys: Command, run: Run): void {
  withCarriage(
    keys
      .command('export')
      .description('a key of the vault for the other side: a shared one, or what is public of ours')
      .option(...SITE)
      .option(...OPENPGP_OWNER)
      .option(...SMIME_OWNER)
      .option(...USER)
      .option('--id <id>', 'of the key')
      .option('--secret', 'the secret half of an OpenPGP key, in clear'),
  ).action(
    async (options: Whose & CarryOptions & Omit<OwnerWords, 'openpgp'> & { secret?: boolean }) => {
      const { scheme, name } = oneOf(options, CARRIED)
      if (scheme === 'openpgp') return runExport(run, { ...options, openpgp: name })
      if (scheme === 'smime') return exportOf(run, name, options)
      const { shared: _, openpgp: _o, user: _u, secret, id, ...carriage } = options
      if (id === undefined || secret)
        throw new PermError('cli/usage', 'a shared key needs its --id, and --show for its secret')
      return run((context) => exportSharedKey(context, { site: name, id }, carriage))
    },
  )
}

interface ImportWords extends Whose, Omit<OwnerWords, 'openpgp'> {
  readonly identity?: string
  readonly passphraseFile?: string
}

function addImport(keys: Command, run: Run): void {
  keys
    .command('import')
    .description('a shared key that the other side has exported, or a key of ours')
    .argument('<file>', 'or - for stdin')
    .option(...SITE)
    .option(...OPENPGP_OWNER)
    .option(...SMIME_OWNER)
    .option(...USER)
    .option('--identity <file>', 'with the age key that it is sealed to')
    .option('--passphrase-file <file>', 'with its passphrase, mode 0600')
    .action(async (file: string, options: ImportWords) => {
      const { identity: identityFile, passphraseFile } = options
      const { scheme, name } = oneOf(options, CARRIED)
      if (scheme === 'openpgp') return runImport(run, file, { ...options, openpgp: name })
      if (scheme === 'smime') return importOf(run, file, name, options)
      const how = {
        ...(identityFile && { identityFile }),
        ...(passphraseFile && { passphraseFile }),
      }
      return run((context) => importSharedKey(context, { site: name, file, ...how }))
    })
}

function withCarriage(command: Command): Command {
  return command
    .option('--to <recipient>', 'seal it for the age key of the other operators, age1...')
    .option('--passphrase', 'seal it under a passphrase: $HISHO_KEY_PASSPHRASE, else asked for')
    .option('--passphrase-file <file>', 'seal it under the passphrase in a file, mode 0600')
    .option('--out <file>', 'where the sealed key goes (default: hisho-key-ID.age)')
    .option('--show', 'print the key itself, in clear')
}
