// The words of the command line that are about our own OpenPGP keys, and those that all keys with an end have.
import { Option, type Command } from 'commander'
import { PermError } from '../errors.ts'
import { KEY_TYPES, type KeyType } from '../openpgp/key-types.ts'
import { checkKeys } from './key-check.ts'
import {
  exportOpenPgpKey,
  importOpenPgpKey,
  newOpenPgpKey,
  renewOpenPgpKey,
  retireOpenPgpKey,
  revokeOpenPgpKey,
  type NamedOwner,
} from './openpgp-keys.ts'
import { asDomain, asDuration } from './options.ts'
import { asManyDays } from './program-ca.ts'
import { renewOf, SMIME_OWNER, smimeTypeOption, type SmimeWords } from './program-smime.ts'
import type { Run } from './program.ts'

export const OPENPGP_OWNER = [
  '--openpgp <domain>',
  'an OpenPGP key of this domain of yours',
  asDomain,
] as const
export const USER = [
  '--user <local>',
  'of this user of the domain (default: of all of it)',
] as const

const DEFAULT_EXPIRES_SECONDS = 2 * 365 * 86_400

/** As commander gives them: `domain` is what `--openpgp` names. */
export interface OwnerWords {
  readonly openpgp: string
  readonly user?: string
  readonly id?: string
}

export interface NewWords extends OwnerWords {
  readonly type?: KeyType
  readonly expires?: number
}

interface RenewWords extends Omit<NewWords, 'openpgp'>, SmimeWords {
  readonly openpgp?: string
  readonly smime?: string
  readonly days?: number
}

export const typeOption = (): Option =>
  new Option('--type <type>', 'of an OpenPGP key (default: curve25519)').choices(KEY_TYPES)
export const expiresOption = (): Option =>
  new Option('--expires <when>', 'such as 90d, 6m, 2y, never (default: 2y)').argParser(asDuration)

export function runNew(run: Run, words: NewWords): Promise<void> {
  const { type = 'curve25519', expires = DEFAULT_EXPIRES_SECONDS } = words
  return run((context) => newOpenPgpKey(context, ownerOf(words), { type, expiresSeconds: expires }))
}

export function runImport(
  run: Run,
  file: string,
  { passphraseFile, ...words }: OwnerWords & { readonly passphraseFile?: string },
): Promise<void> {
  const how = { file, ...(passphraseFile !== undefined && { passphraseFile }) }
  return run((context) => importOpenPgpKey(context, ownerOf(words), how))
}

export function runExport(
  run: Run,
  { secret, out, ...words }: OwnerWords & { readonly secret?: boolean; readonly out?: string },
): Promise<void> {
  const how = { ...(secret && { secret }), ...(out !== undefined && { out }) }
  return run((context) => exportOpenPgpKey(context, ownerOf(words), how))
}

export function runRetire(run: Run, words: OwnerWords & { readonly yes?: boolean }): Promise<void> {
  const { yes = false } = words
  return run((context) => retireOpenPgpKey(context, ownerOf(words), { yes }))
}

/** renew, revoke, check. */
export function addLifeOfKeys(keys: Command, run: Run): void {
  keys
    .command('renew')
    .description('the same OpenPGP key with another end; a new key for S/MIME, and its certificate')
    .option(...OPENPGP_OWNER)
    .option(...SMIME_OWNER)
    .option(...USER)
    .option('--id <id>', 'of the OpenPGP key (default: the newest in use)')
    .addOption(expiresOption())
    .addOption(smimeTypeOption())
    .option('--days <days>', 'how long a certificate of our own CA is good', asManyDays)
    .action(async (words: RenewWords) => {
      const { openpgp, smime, expires = DEFAULT_EXPIRES_SECONDS } = words
      if ((openpgp === undefined) === (smime === undefined))
        throw new PermError('cli/usage', 'one of --openpgp, --smime')
      if (smime !== undefined) return renewOf(run, smime, words)
      const owner = ownerOf({ ...words, openpgp: openpgp ?? '' })
      return run((context) => renewOpenPgpKey(context, owner, expires))
    })
  keys
    .command('revoke')
    .description('nobody is to seal for it any more; prints its public half with the revocation')
    .requiredOption(...OPENPGP_OWNER)
    .option(...USER)
    .option('--id <id>', 'of the key (default: the newest in use)')
    .option('--compromised', 'others may have it: what it has signed counts for nothing')
    .option('--yes', 'do not ask')
    .action(async (words: OwnerWords & { compromised?: boolean; yes?: boolean }) => {
      const reason = words.compromised ? 'compromised' : 'retired'
      const { yes = false } = words
      await run((context) => revokeOpenPgpKey(context, ownerOf(words), { reason, yes }))
    })
  keys
    .command('check')
    .description('when our own keys expire; exit 1 if one does within a month')
    .option('--json', 'for scripts')
    .action(async ({ json = false }: { json?: boolean }) => {
      await run((context) => checkKeys(context, { json }))
    })
}

function ownerOf({ openpgp: domain, user, id }: OwnerWords): NamedOwner {
  return { domain, ...(user !== undefined && { user }), ...(id !== undefined && { id }) }
}
