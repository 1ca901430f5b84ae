// A site as an operator has it: a domain, its vault and records, and a Haraka with the pack.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateX25519Identity } from '../../lib/container/x25519.ts'
import { SecretBytes } from '../../lib/crypto/secret-bytes.ts'
import { createBb2, createBb2Pool } from '../../lib/ibe/bb2/bb2.ts'
import { createIbe, createIbePool, type Ibe } from '../../lib/ibe/ibe.ts'
import { ownRecords } from '../../lib/services/own-records.ts'
import { systemClock } from '../../lib/clock.ts'
import {
  withMasterKey,
  type MasterKeyScheme,
  type Period,
  type VaultContents,
} from '../../lib/vault/contents.ts'
import { withAgeIdentity, type AgeIdentityEntry } from '../../lib/vault/age-identities.ts'
import {
  MAIL_KEY_SECTIONS,
  withMailKey,
  type MailKeyEntry,
  type MailKeySection,
} from '../../lib/vault/mail-keys.ts'
import { withSharedKey, type SharedKeyEntry } from '../../lib/vault/shared-keys.ts'
import { writeVault } from '../../lib/vault/vault.ts'
import type { Files } from './haraka.ts'

export interface SiteKeys {
  readonly contents: VaultContents
  /** The text of the TXT record that senders encrypt with. */
  readonly record: string
  /** All that the domain publishes: for encryption and for signatures. */
  readonly records: readonly string[]
  /** Files for the Haraka directory: vault and passphrase (an age key, so that opening takes no second). */
  readonly files: Files
  readonly passphrase: string
}

/** By domain: keys for OpenPGP and S/MIME, of the domain or of its users. */
export type MailKeys = Readonly<
  Record<string, Partial<Record<MailKeySection, readonly MailKeyEntry[]>>>
>

export interface SiteKeyOptions {
  readonly n?: number
  readonly period?: Period
  readonly schemes?: readonly MasterKeyScheme[]
  /** By site. */
  readonly shared?: Readonly<Record<string, readonly SharedKeyEntry[]>>
  /** Identities for age, of the domain or of others of ours. */
  readonly age?: Readonly<Record<string, readonly AgeIdentityEntry[]>>
  readonly mail?: MailKeys
}

/** Master keys for a domain, to encrypt and to sign, their records, and the vault that holds them. */
export async function makeSite(
  domain: string,
  {
    n = 1,
    period = 'month',
    schemes = ['bf', 'cc'],
    shared = {},
    age = {},
    mail = {},
  }: SiteKeyOptions = {},
): Promise<SiteKeys> {
  const pool = createIbePool({ size: 1, queueLimit: 10 })
  const ibe = createIbe({ pool, clock: systemClock })
  try {
    let contents: VaultContents = new Map()
    for (const scheme of schemes) {
      const { masterKey, publicKey } = await generateKeys(scheme, ibe)
      contents = withMasterKey(contents, domain, {
        scheme,
        n,
        period: scheme === 'bb2' ? 'none' : period,
        masterKey,
        publicKey: Buffer.from(publicKey).toString('base64'),
        created: new Date().toISOString(),
      })
    }
    for (const [site, entries] of Object.entries(shared))
      for (const entry of entries) contents = withSharedKey(contents, site, entry)
    for (const [name, entries] of Object.entries(age))
      for (const entry of entries) contents = withAgeIdentity(contents, name, entry)
    for (const [name, sections] of Object.entries(mail))
      for (const section of MAIL_KEY_SECTIONS)
        for (const entry of sections[section] ?? [])
          contents = withMailKey(contents, name, section, entry)
    const records = (await ownRecords(ibe, contents, domain)).map(({ text }) => text)
    const { identity } = generateX25519Identity()
    return {
      contents,
      record: records[0] ?? '',
      records,
      passphrase: identity,
      files: { 'config/hisho.vault.age': await vaultBytes(contents, identity) },
    }
  } finally {
    await pool.close()
  }
}

async function generateKeys(scheme: MasterKeyScheme, ibe: Ibe) {
  if (scheme !== 'bb2') {
    const masterKey = await ibe.generateMasterKey()
    return { masterKey, publicKey: await ibe.publicKey(masterKey) }
  }
  const pool = createBb2Pool({ size: 1, queueLimit: 10 })
  try {
    return await createBb2({ pool }).generate()
  } finally {
    await pool.close()
  }
}

/** The vault's file, sealed to an age key. */
export async function vaultBytes(contents: VaultContents, passphrase: string): Promise<Buffer> {
  const folder = mkdtempSync(join(tmpdir(), 'hisho-vault-'))
  try {
    const file = join(folder, 'vault')
    await writeVault(file, contents, new SecretBytes(new TextEncoder().encode(passphrase)))
    return readFileSync(file)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export interface SiteOptions {
  readonly domain: string
  readonly keys: SiteKeys
  readonly dnsPort: number
  /** Where mail for our own users goes: host and port of an SMTP server. */
  readonly mailbox: number
  /** Where mail for other domains goes: their port on loopback. */
  readonly routes: Readonly<Record<string, number>>
  /** Lines for `domains:` of hisho.yaml. */
  readonly table?: string
  /** `senders:` of hisho.yaml. By default the one user that there is may write as everybody. */
  readonly senders?: string
  readonly plugins?: readonly string[]
  readonly files?: Files
  readonly host?: string
}

export const USER = 'user'
export const PASSWORD = 'secret'

/** A gateway with everything. */
export const ALL_PLUGINS: readonly string[] = [
  'auth/flat_file',
  'rcpt_to.in_host_list',
  'hisho/decrypt',
  'hisho/verify',
  'hisho/sign',
  'hisho/encrypt',
  'queue/smtp_forward',
]

/** The Haraka directory of a site: submission with AUTH, local delivery by smtp_forward, routes in place of MX records. */
export function siteFiles(options: SiteOptions): Files {
  const {
    domain,
    keys,
    dnsPort,
    mailbox,
    routes,
    table = "  '*': { encrypt: opportunistic }",
    senders = `{ ${USER}: ['*@${domain}'] }`,
    files = {},
    host = '127.0.0.1',
  } = options
  const routeIni = Object.entries(routes).map(
    ([name, port]) => `[${name}]\nhost=${host}\nport=${port}`,
  )
  return {
    'config/me': `mx.${domain}\n`,
    'config/plugins': options.plugins ?? [
      'auth/flat_file',
      'rcpt_to.in_host_list',
      'hisho/decrypt',
      'hisho/encrypt',
      'queue/smtp_forward',
    ],
    'config/host_list': `${domain}\n`,
    'config/auth_flat_file.ini': `[core]\nmethods=PLAIN\nconstrain_sender=false\n[users]\n${USER}=${PASSWORD}\n`,
    'config/smtp_forward.ini': `host=${host}\nport=${mailbox}\nenable_outbound=false\n${routeIni.join('\n')}\n`,
    'config/hisho.ini': hishoIni(dnsPort),
    'config/hisho.yaml': `local: [${domain}]\nsenders: ${senders}\ndomains:\n${table}\n`,
    ...keys.files,
    ...files,
  }
}

/** Short waits, one thread; `more` are sections of their own. */
export function hishoIni(dnsPort: number, more = ''): string {
  return `[main]\nworkers=1\n[dns]\nservers=127.0.0.1:${dnsPort}\ntimeout_ms=500\ntries=3\n[parameters]\nttl_floor=0\n${more}`
}

export function siteEnvironment(keys: SiteKeys): Record<string, string> {
  return { HISHO_PASSPHRASE: keys.passphrase }
}
