// The words of the command line that are about our own keys: generations, rotation, accidents.
import type { Command } from 'commander'
import type { MasterKeyScheme, Period } from '../vault/contents.ts'
import { leakedIdentityKey, leakedMasterKey, leakedPassword } from './accident.ts'
import { listGenerations, newGeneration, retireGenerations } from './kgc.ts'
import { asDate, asDays, asDomain, asKeyScheme, asPeriod, asSerial } from './options.ts'
import type { Run } from './program.ts'
import { addKgcServer } from './program-kgc.ts'
import { rotate } from './rotate.ts'

export function addKgc(program: Command, run: Run): void {
  const kgc = program.command('kgc').description('generations of master keys')
  kgc
    .command('new')
    .description('one generation more, beside the others')
    .requiredOption('--domain <domain>', 'a domain of yours', asDomain)
    .option(
      SCHEME,
      "bf encrypts, cc signs, bb2 is for senders of the paper's format",
      asKeyScheme,
      'bf',
    )
    .option('--period <period>', 'none, day, week, month (default: as the newest)', asPeriod)
    .action(async (options: { domain: string; scheme: MasterKeyScheme; period?: Period }) => {
      const { domain, scheme, period } = options
      await run((context) => newGeneration(context, { domain, scheme, period }))
    })
  kgc
    .command('list')
    .description('all generations, without secrets')
    .option('--domain <domain>', 'of this domain only', asDomain)
    .option('--json', 'for scripts')
    .action(async ({ domain, json = false }: { domain?: string; json?: boolean }) => {
      await run((context) => listGenerations(context, { domain, json }))
    })
  addRotation(kgc, run)
  addKgcServer(kgc, run)
}

const SCHEME = '--scheme <scheme>'

interface Rotation {
  readonly domain: string
  readonly scheme?: MasterKeyScheme
  readonly queueDays?: number
}

function addRotation(kgc: Command, run: Run): void {
  const queueDays = 'how long mail may wait in a queue (default: 5)'
  kgc
    .command('rotate')
    .description('the next step from one generation to the next; run it again until it has no more')
    .requiredOption('--domain <domain>', 'a domain of yours', asDomain)
    .option(SCHEME, 'bf, cc or bb2 (default: all that the vault has)', asKeyScheme)
    .option('--queue-days <days>', queueDays, asDays)
    .action(async ({ domain, scheme, queueDays: days }: Rotation) => {
      await run((context) => rotate(context, { domain, scheme, queueDays: days }))
    })
  kgc
    .command('retire')
    .description('from now on nothing is opened with a generation: all whose time has come, or one')
    .requiredOption('--domain <domain>', 'a domain of yours', asDomain)
    .option(SCHEME, 'bf, cc or bb2 (default: all; with --n: bf)', asKeyScheme)
    .option('--n <n>', 'its serial', asSerial)
    .option('--queue-days <days>', queueDays, asDays)
    .option('--yes', 'do not ask')
    .option('--force', 'even if it may still be needed')
    .action(async (options: Rotation & { n?: number; yes?: boolean; force?: boolean }) => {
      const { domain, scheme, n, queueDays: days, yes = false, force = false } = options
      await run((context) =>
        retireGenerations(context, { domain, scheme, n, queueDays: days, yes, force }),
      )
    })
}

interface Accident {
  readonly since?: Date
  readonly notices: string
}

export function addAccident(program: Command, run: Run): void {
  const accident = program
    .command('accident')
    .description('something leaked: does what can be done, says what must be, writes the notices')
  const withNotices = (command: Command): Command =>
    command
      .option('--since <date>', 'from when on it may have been in other hands', asDate)
      .option('--notices <dir>', 'where the notices go', 'hisho-notices')
  withNotices(accident.command('master-key'))
    .description('the vault with its passphrase, a memory image, a lost backup')
    .requiredOption('--domain <domain>', 'a domain of yours', asDomain)
    .action(async ({ domain, since, notices }: Accident & { domain: string }) => {
      await run((context) => leakedMasterKey(context, { domain, since, notices }))
    })
  withNotices(accident.command('identity-key'))
    .description('the key of one address and period')
    .argument('<address>', 'an address of yours')
    .option('--rotate', 'do not wait for the end of the period: new parameters now')
    .action(async (address: string, options: Accident & { rotate?: boolean }) => {
      const { since, notices, rotate: now = false } = options
      await run((context) => leakedIdentityKey(context, { address, since, notices, rotate: now }))
    })
  withNotices(accident.command('password'))
    .description('the password of a mailbox')
    .argument('<address>', 'an address of yours')
    .action(async (address: string, { since, notices }: Accident) => {
      await run((context) => leakedPassword(context, { address, since, notices }))
    })
}
