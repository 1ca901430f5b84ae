// What `hisho keys` understands for S/MIME.
import { Option } from 'commander'
import { PermError } from '../errors.ts'
import { MAIL_KEY_TYPES, type MailKeyType } from '../smime/ca/mail-key.ts'
import { asDomain } from './options.ts'
import { asUser } from './program-ca.ts'
import type { Run } from './program.ts'
import {
  exportSmime,
  importSmime,
  renewSmime,
  requestCertificate,
  retireSmime,
  type Whose,
} from './smime-keys.ts'

export const SMIME_OWNER = [
  '--smime <domain>',
  'a key for S/MIME of this domain of yours',
  asDomain,
] as const

/** Beside those of the other schemes. */
export interface SmimeWords {
  readonly user?: string
  readonly csr?: boolean
  readonly key?: MailKeyType
}

const DEFAULT_TYPE = 'p256'
const DEFAULT_DAYS = 730

export const csrOption = (): Option =>
  new Option('--csr', 'print a request for its certificate, for a CA that is not ours (S/MIME)')
export const smimeTypeOption = (): Option =>
  new Option('--key <type>', 'of a key for S/MIME (default: p256)').choices(MAIL_KEY_TYPES)

export function newOf(
  run: Run,
  domain: string,
  { csr, key = DEFAULT_TYPE, ...words }: SmimeWords,
): Promise<void> {
  if (!csr) throw new PermError('cli/usage', 'who makes its certificate: --csr, or hisho ca issue')
  return run((context) => requestCertificate(context, { ...whose(domain, words), key }))
}

export function exportOf(run: Run, domain: string, words: SmimeWords): Promise<void> {
  return run((context) => exportSmime(context, whose(domain, words)))
}

export function importOf(
  run: Run,
  file: string,
  domain: string,
  { passphraseFile, ...words }: SmimeWords & { readonly passphraseFile?: string },
): Promise<void> {
  return run((context) => importSmime(context, { ...whose(domain, words), file, passphraseFile }))
}

export function renewOf(
  run: Run,
  domain: string,
  { key = DEFAULT_TYPE, days = DEFAULT_DAYS, ...words }: SmimeWords & { readonly days?: number },
): Promise<void> {
  return run((context) => renewSmime(context, { ...whose(domain, words), key, days }))
}

export function retireOf(
  run: Run,
  { yes, ...named }: { readonly domain: string; readonly id: string; readonly yes: boolean },
): Promise<void> {
  return run((context) => retireSmime(context, named, { yes }))
}

function whose(domain: string, { user }: Pick<SmimeWords, 'user'>): Whose {
  return { domain, user: user === undefined ? undefined : asUser(user) }
}
