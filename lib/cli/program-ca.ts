// The words of the command line that are about our own CA and about keys for S/MIME.
import { InvalidArgumentError, type Command } from 'commander'
import { MAIL_KEY_TYPES, type MailKeyType } from '../smime/ca/mail-key.ts'
import { REASONS, type RevocationReason } from '../smime/trust/revocation-reasons.ts'
import {
  exportRoot,
  initAuthority,
  issue,
  listIssued,
  publishRevoked,
  revoke,
  signRequest,
} from './ca.ts'
import { exportPkcs12 } from './ca-pkcs12.ts'
import { asDomain, collectDomains } from './options.ts'
import type { Run } from './program.ts'

const ISSUED_DAYS = 730
const LIST_DAYS = 30
const MAX_DAYS = 3650

const KEY = ['--key <type>', `one of ${MAIL_KEY_TYPES.join(', ')}`, asMailKeyType, 'p256'] as const
const OF_CA = ['--domain <domain>', 'of the CA for this domain', asDomain] as const

function asMailKeyType(text: string): MailKeyType {
  return oneOf(MAIL_KEY_TYPES, text)
}

/** A local part, in lower case. */
export function asUser(text: string): string {
  if (/^[\w!#$%&'*+/=?^`{|}~.-]{1,64}$/.test(text)) return text.toLowerCase()
  throw new InvalidArgumentError('It is no local part of an address.')
}

export function addCa(program: Command, run: Run): void {
  const ca = program.command('ca').description('a CA of our own, for certificates for S/MIME')
  addInit(ca, run)
  ca.command('issue')
    .description('a new key with a certificate, kept in the vault: for a domain, or one user of it')
    .requiredOption('--domain <domain>', 'a domain of yours', asDomain)
    .option('--user <user>', 'the part before the @ (default: all of the domain)', asUser)
    .option('--days <days>', 'how long it is good', asManyDays, ISSUED_DAYS)
    .option(...KEY)
    .action(async (options: { domain: string; user?: string; days: number; key: MailKeyType }) => {
      await run((context) => issue(context, { user: undefined, ...options }))
    })
  ca.command('sign')
    .description('a certificate for a key of somebody else, who has made a request; prints it')
    .argument('<file>', 'the request, PEM or DER; - for standard input')
    .requiredOption(
      '--domain <domain>',
      'whose it is; what the request says does not count',
      asDomain,
    )
    .option('--user <user>', 'the part before the @ (default: all of the domain)', asUser)
    .option('--days <days>', 'how long it is good', asManyDays, ISSUED_DAYS)
    .action(async (file: string, options: { domain: string; user?: string; days: number }) => {
      await run((context) => signRequest(context, { user: undefined, file, ...options }))
    })
  ca.command('list')
    .description('what it has issued')
    .option(...OF_CA)
    .option('--json', 'for scripts')
    .action(async ({ domain, json = false }: { domain?: string; json?: boolean }) => {
      await run((context) => listIssued(context, { domain, json }))
    })
  addRevocation(ca, run)
  ca.command('export')
    .description('its certificate, for those who are to trust it')
    .option(...OF_CA)
    .action(async ({ domain }: { domain?: string }) => {
      await run((context) => exportRoot(context, { domain }))
    })
  ca.command('p12')
    .description("a certificate with its key, for a user's mail program; prints the passphrase")
    .argument('<id>', 'of the certificate, or how it begins')
    .requiredOption('--out <file>', 'where it goes')
    .option('--passphrase-file <file>', 'with a passphrase of yours, mode 0600')
    .action(async (id: string, options: { out: string; passphraseFile?: string }) => {
      await run((context) => exportPkcs12(context, { id, passphraseFile: undefined, ...options }))
    })
}

interface InitWords {
  readonly domain: readonly string[]
  readonly name?: string
  readonly key: MailKeyType
  readonly crlUrl?: string
}

function addInit(ca: Command, run: Run): void {
  ca.command('init')
    .description('a new CA, in the vault; prints its certificate')
    .requiredOption(
      '--domain <domain>',
      'for which it may issue; may be given again',
      collectDomains,
      [],
    )
    .option('--name <name>', 'how it is called (default: Mail CA of DOMAIN)')
    .option(
      '--crl-url <url>',
      'where its list of revoked certificates will lie, http://...',
      asHttp,
    )
    .option(...KEY)
    .action(async ({ domain: domains, name, key, crlUrl: listUrl }: InitWords) => {
      await run((context) => initAuthority(context, { domains, name, key, listUrl }))
    })
}

function addRevocation(ca: Command, run: Run): void {
  ca.command('revoke')
    .description('from now on a certificate counts no more')
    .argument('<id>', 'of the certificate, or how it begins')
    .option('--reason <reason>', `one of ${REASONS.join(', ')}`, asReason, 'unspecified')
    .action(async (id: string, { reason }: { reason: RevocationReason }) => {
      await run((context) => revoke(context, { id, reason }))
    })
  ca.command('crl')
    .description('the list of revoked certificates, new each time')
    .option(...OF_CA)
    .option('--out <file>', 'where it goes, in the form in which it is published (DER)')
    .option('--days <days>', 'until when the next one is made', asManyDays, LIST_DAYS)
    .action(async (options: { domain?: string; out?: string; days: number }) => {
      await run((context) =>
        publishRevoked(context, { domain: undefined, out: undefined, ...options }),
      )
    })
}

export function asManyDays(text: string): number {
  const days = /^\d{1,4}$/.test(text) ? Number(text) : 0
  if (days >= 1 && days <= MAX_DAYS) return days
  throw new InvalidArgumentError(`It is no number of days from 1 to ${MAX_DAYS}.`)
}

function asReason(text: string): RevocationReason {
  return oneOf(REASONS, text)
}

function asHttp(text: string): string {
  if (URL.canParse(text) && /^http:\/\/[!-~]+$/.test(text)) return text
  throw new InvalidArgumentError('It is no URL of plain HTTP; what lies there is signed by itself.')
}

function oneOf<T extends string>(words: readonly T[], text: string): T {
  const found = words.find((word) => word === text)
  if (found !== undefined) return found
  throw new InvalidArgumentError(`It must be one of ${words.join(', ')}.`)
}
