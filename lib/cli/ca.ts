// `hisho ca`: a CA of our own, for certificates of our domains and users. docs/smime.md, "Our own CA".
import { readFile } from 'node:fs/promises'
import { writeAtomically } from '../disk/atomic-file.ts'
import { collect } from '../mail/message.ts'
import {
  createAuthority,
  issueCertificate,
  publishList,
  revokeCertificate,
} from '../smime/ca/authority.ts'
import { readRequest } from '../smime/ca/request.ts'
import { generateMailKey, type MailKeyType } from '../smime/ca/mail-key.ts'
import type { RevocationReason } from '../smime/trust/revocation-reasons.ts'
import type { VaultContents } from '../vault/contents.ts'
import { mailKeysOf, WHOLE_DOMAIN, withChangedMailKey, withMailKey } from '../vault/mail-keys.ts'
import { formatPem } from '../x509/pem.ts'
import { authorityFor, issuedBy, withAuthority, withRegister } from './ca-session.ts'
import { authoritiesIn } from '../services/own-authorities.ts'
import type { Context } from './context.ts'
import { formatTable } from './terminal.ts'
import { openVault } from './vault-session.ts'

const SHOWN_OF_ID = 16
/** A root is changed seldom: everybody who trusts it has a copy. */
const ROOT_DAYS = 3650

export interface InitOptions {
  readonly domains: readonly string[]
  readonly name: string | undefined
  readonly key: MailKeyType
  readonly listUrl: string | undefined
}

export async function initAuthority(
  context: Context,
  { domains, name, key: type, listUrl }: InitOptions,
): Promise<void> {
  const vault = await openVault(context)
  const nowMs = context.clock.nowMs()
  const authority = createAuthority(await generateMailKey(type), {
    name: name ?? `Mail CA of ${domains[0]}`,
    domains,
    days: ROOT_DAYS,
    listUrl,
    nowMs,
  })
  await vault.save(withAuthority(vault.contents, authority, new Date(nowMs).toISOString()))
  const { terminal } = context
  terminal.note(`The CA for ${domains.join(', ')} is in the vault. For those who are to trust it:`)
  await terminal.write(new TextEncoder().encode(formatPem('CERTIFICATE', authority.certificate)))
}

export interface IssueOptions {
  readonly domain: string
  readonly user: string | undefined
  readonly days: number
  readonly key: MailKeyType
}

/** The new key is the one to sign with; those before it open what was sealed for them. */
export async function issue(
  context: Context,
  { domain, user = WHOLE_DOMAIN, days, key: type }: IssueOptions,
): Promise<void> {
  const vault = await openVault(context)
  const authority = authorityFor(vault.contents, domain)
  const nowMs = context.clock.nowMs()
  const created = new Date(nowMs).toISOString()
  const key = await generateMailKey(type)
  const { certificate, entry, register } = issueCertificate(authority, {
    domain,
    user,
    days,
    nowMs,
    publicKey: key.publicKey,
    algorithm: type === 'rsa3072' ? 'rsa' : 'ec',
  })
  const superseded = withSuperseded(vault.contents, domain, user, created)
  const held = withMailKey(superseded, domain, 'smime', {
    id: entry.id,
    user,
    secret: key.secret,
    certificates: [certificate, authority.certificate],
    created,
  })
  await vault.save(withRegister(held, authority, register))
  const whose = user === WHOLE_DOMAIN ? domain : `${user}@${domain}`
  context.terminal.note(
    `certificate ${entry.id} of ${whose} is in the vault, until ${entry.expires}`,
  )
  await context.terminal.write(new TextEncoder().encode(formatPem('CERTIFICATE', certificate)))
}

export interface SignOptions {
  readonly file: string
  readonly domain: string
  readonly user: string | undefined
  readonly days: number
}

/** A certificate for a key that is somebody else's, and stays there. */
export async function signRequest(
  context: Context,
  { file, domain, user = WHOLE_DOMAIN, days }: SignOptions,
): Promise<void> {
  const asked = readRequest(file === '-' ? await collect(process.stdin) : await readFile(file))
  const vault = await openVault(context)
  const authority = authorityFor(vault.contents, domain)
  const { certificate, entry, register } = issueCertificate(authority, {
    ...asked,
    domain,
    user,
    days,
    nowMs: context.clock.nowMs(),
  })
  await vault.save(withRegister(vault.contents, authority, register))
  const whose = user === WHOLE_DOMAIN ? domain : `${user}@${domain}`
  context.terminal.note(`certificate ${entry.id} of ${whose}, until ${entry.expires}`)
  await context.terminal.write(
    new TextEncoder().encode(
      formatPem('CERTIFICATE', certificate) + formatPem('CERTIFICATE', authority.certificate),
    ),
  )
}

/** A copy in which none of the user's keys is signed with any more. */
export function withSuperseded(
  contents: VaultContents,
  domain: string,
  user: string,
  at: string,
): VaultContents {
  return mailKeysOf(contents, domain, 'smime')
    .filter((entry) => entry.user === user && entry.superseded === undefined)
    .reduce(
      (changed, entry) =>
        withChangedMailKey(changed, domain, 'smime', { ...entry, superseded: at }),
      contents,
    )
}

export async function listIssued(
  context: Context,
  { domain, json }: { readonly domain: string | undefined; readonly json: boolean },
): Promise<void> {
  const { contents } = await openVault(context)
  const rows = authoritiesIn(contents)
    .flatMap(({ register }) => register.issued)
    .filter((issued) => domain === undefined || issued.domain === domain)
  if (json) return context.terminal.json(rows)
  const now = new Date(context.clock.nowMs()).toISOString()
  context.terminal.line(
    formatTable(
      ['ID', 'DOMAIN', 'USER', 'EXPIRES', 'STATE'],
      rows.map(({ id, domain: site, user, expires, revoked, reason }) => [
        id.slice(0, SHOWN_OF_ID),
        site,
        user,
        expires.slice(0, 10),
        revoked ? `revoked ${revoked.slice(0, 10)}: ${reason}` : expires < now ? 'expired' : 'good',
      ]),
    ),
  )
}

export async function revoke(
  context: Context,
  { id: prefix, reason }: { readonly id: string; readonly reason: RevocationReason },
): Promise<void> {
  const vault = await openVault(context)
  const { authority, issued } = issuedBy(vault.contents, prefix)
  const nowMs = context.clock.nowMs()
  const register = revokeCertificate(authority.register, issued.id, { reason, nowMs })
  const entry = mailKeysOf(vault.contents, issued.domain, 'smime').find(
    ({ id }) => id === issued.id,
  )
  const revoked = new Date(nowMs).toISOString()
  const marked = entry
    ? withChangedMailKey(vault.contents, issued.domain, 'smime', {
        ...entry,
        revoked,
        superseded: entry.superseded ?? revoked,
      })
    : vault.contents
  await vault.save(withRegister(marked, authority, register))
  const { terminal } = context
  terminal.line(`${issued.id} is revoked. What was sealed for it still opens here.`)
  terminal.line('Others learn of it from the list: hisho ca crl --out FILE, and publish that.')
}

export interface ListOptions {
  readonly domain: string | undefined
  /** DER, as it is to be published. Without one it is printed, as PEM. */
  readonly out: string | undefined
  readonly days: number
}

export async function publishRevoked(
  context: Context,
  { domain, out, days }: ListOptions,
): Promise<void> {
  const vault = await openVault(context)
  const authority = authorityFor(vault.contents, domain)
  const { list, register } = publishList(authority, { days, nowMs: context.clock.nowMs() })
  await vault.save(withRegister(vault.contents, authority, register))
  const { terminal } = context
  if (out === undefined)
    return terminal.write(new TextEncoder().encode(formatPem('X509 CRL', list)))
  await writeAtomically(out, list, { mode: 0o644 })
  terminal.line(`${out}: list ${register.listNumber}, good for ${days} days`)
  const place = register.listUrl ?? 'nowhere: the certificates do not say where it lies'
  terminal.line(`It belongs at ${place}`)
}

export async function exportRoot(
  context: Context,
  { domain }: { readonly domain: string | undefined },
): Promise<void> {
  const { contents } = await openVault(context)
  const { certificate } = authorityFor(contents, domain)
  await context.terminal.write(new TextEncoder().encode(formatPem('CERTIFICATE', certificate)))
}
