// `hisho keys ... --smime`: keys and certificates of our domains and users that others than our own CA have issued.
// docs/smime.md, "Keys".
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { SecretBytes } from '../crypto/secret-bytes.ts'
import { PermError } from '../errors.ts'
import { collect } from '../mail/message.ts'
import { fingerprintOf, holderExtensions } from '../smime/ca/authority.ts'
import { commonName, formatRequest } from '../smime/ca/certificate.ts'
import { generateMailKey, mailKeyOf, type MailKeyType } from '../smime/ca/mail-key.ts'
import { keyFirst, type CertifiedKey } from '../smime/ca/certified-key.ts'
import type { VaultContents } from '../vault/contents.ts'
import {
  mailKeysOf,
  WHOLE_DOMAIN,
  withChangedMailKey,
  withMailKey,
  type MailKeyEntry,
} from '../vault/mail-keys.ts'
import { withSite } from '../vault/site.ts'
import { formatPem, readPem } from '../x509/pem.ts'
import { issue, withSuperseded } from './ca.ts'
import { authoritiesIn } from '../services/own-authorities.ts'
import type { Context } from './context.ts'
import { givenPassphrase } from './key-carrier.ts'
import { confirm } from './keys.ts'
import { openVault } from './vault-session.ts'

export interface Whose {
  readonly domain: string
  /** Undefined: all of the domain. */
  readonly user: string | undefined
}

/** Of a key whose certificate is still to come. */
const REQUESTED = 'request-'
const ID_LETTERS = 16

/** Its certificate is for somebody else to make: RFC 2986. */
export async function requestCertificate(
  context: Context,
  { domain, user = WHOLE_DOMAIN, key: type }: Whose & { readonly key: MailKeyType },
): Promise<void> {
  const vault = await openVault(context)
  const key = await generateMailKey(type)
  const extensions = holderExtensions({ domain, user }, type === 'rsa3072' ? 'rsa' : 'ec')
  const name = commonName(user === WHOLE_DOMAIN ? domain : `${user}@${domain}`)
  const request = formatRequest(name, extensions, key.publicKey, key.privateKey)
  const id = `${REQUESTED}${fingerprintOf(key.publicKey).slice(0, ID_LETTERS)}`
  const created = new Date(context.clock.nowMs()).toISOString()
  const entry = { id, user, secret: key.secret, certificates: [], created }
  await vault.save(withMailKey(vault.contents, domain, 'smime', entry))
  context.terminal.note(
    `key ${id} is in the vault. When the certificate has come: hisho keys import FILE --smime ${domain}`,
  )
  await context.terminal.write(Buffer.from(formatPem('CERTIFICATE REQUEST', request)))
}

export interface ImportOptions extends Whose {
  /** PEM or PKCS #12; `-`: stdin. */
  readonly file: string
  readonly passphraseFile: string | undefined
}

/** A key with its certificates, or the certificates for a key that waits for them. */
export async function importSmime(
  context: Context,
  { domain, user = WHOLE_DOMAIN, file, passphraseFile }: ImportOptions,
): Promise<void> {
  const bytes = file === '-' ? await collect(process.stdin) : await readFile(file)
  const vault = await openVault(context)
  const text = Buffer.from(bytes).toString('latin1')
  const isPem = text.includes('-----BEGIN ')
  const { secret, certificates, waiting } = isPem
    ? fromPem(text, mailKeysOf(vault.contents, domain, 'smime'))
    : { ...(await fromPkcs12(context, bytes, passphraseFile)), waiting: undefined }
  const created = new Date(context.clock.nowMs()).toISOString()
  const [own] = certificates
  if (own === undefined) throw new PermError('cli/usage', `${file} holds no certificate`)
  const entry: MailKeyEntry = {
    id: fingerprintOf(own),
    user: waiting?.user ?? user,
    secret,
    certificates,
    created,
  }
  const others = waiting ? withoutKey(vault.contents, domain, waiting.id) : vault.contents
  const changed = withSuperseded(others, domain, entry.user, created)
  await vault.save(withMailKey(changed, domain, 'smime', entry))
  const until = new X509Certificate(own).validTo
  context.terminal.line(`certificate ${entry.id} of ${domain} is in the vault, until ${until}`)
}

type Found = CertifiedKey & { readonly waiting: MailKeyEntry | undefined }

function fromPem(text: string, held: readonly MailKeyEntry[]): Found {
  const certificates = readPem('CERTIFICATE', text)
  const key = /-----BEGIN (?:RSA |EC )?PRIVATE KEY-----[^-]*-----END (?:RSA |EC )?PRIVATE KEY-----/
  const [pem] = key.exec(text) ?? []
  if (pem !== undefined)
    return { ...keyFirst(mailKeyOf(readKey(pem)).secret, certificates), waiting: undefined }
  const waiting = held.find(
    ({ id, secret }) =>
      id.startsWith(REQUESTED) &&
      certificates.some((der) => new X509Certificate(der).checkPrivateKey(keyOf(secret))),
  )
  if (waiting === undefined)
    throw new PermError(
      'cli/usage',
      'it has no private key (PEM), and none in the vault waits for it',
    )
  return { ...keyFirst(waiting.secret, certificates), waiting }
}

function readKey(pem: string): ReturnType<typeof createPrivateKey> {
  try {
    return createPrivateKey(pem)
  } catch (cause) {
    throw new PermError('cli/usage', 'its private key cannot be read', { cause })
  }
}

function keyOf(secret: SecretBytes): ReturnType<typeof createPrivateKey> {
  return createPrivateKey({ key: Buffer.from(secret.bytes), format: 'der', type: 'pkcs8' })
}

async function fromPkcs12(
  context: Context,
  bytes: Uint8Array,
  passphraseFile: string | undefined,
): Promise<CertifiedKey> {
  const passphrase = await givenPassphrase(context, passphraseFile)
  if (passphrase === undefined)
    throw new PermError(
      'cli/usage',
      'a PKCS #12 file needs --passphrase-file or $HISHO_KEY_PASSPHRASE',
    )
  const { parsePkcs12 } = await import('../smime/ca/pkcs12.ts') // pkijs takes a while to load
  return parsePkcs12(bytes, passphrase)
}

function withoutKey(contents: VaultContents, domain: string, id: string): VaultContents {
  const rest = mailKeysOf(contents, domain, 'smime').filter((entry) => entry.id !== id)
  return withSite(contents, domain, { smime: rest })
}

/** From our own CA where it is for the domain, else another request. */
export async function renewSmime(
  context: Context,
  options: Whose & { readonly key: MailKeyType; readonly days: number },
): Promise<void> {
  const { contents } = await openVault(context)
  const isOurs = authoritiesIn(contents).some(({ register }) =>
    register.domains.includes(options.domain),
  )
  await (isOurs ? issue(context, options) : requestCertificate(context, options))
}

/** Certificates alone. The newest first. */
export async function exportSmime(context: Context, { domain, user }: Whose): Promise<void> {
  const { contents } = await openVault(context)
  const found = mailKeysOf(contents, domain, 'smime').filter(
    (entry) => entry.superseded === undefined && entry.retired === undefined,
  )
  const wanted = found.filter((entry) => entry.user === (user ?? WHOLE_DOMAIN))
  const certificates = wanted.flatMap((entry) => entry.certificates.slice(0, 1))
  if (certificates.length === 0)
    throw new PermError(
      'cli/usage',
      `the vault has no certificate of ${user ?? 'all'} of ${domain}`,
    )
  const text = certificates.map((der) => formatPem('CERTIFICATE', der)).join('')
  await context.terminal.write(Buffer.from(text))
}

export async function retireSmime(
  context: Context,
  { domain, id }: { readonly domain: string; readonly id: string },
  { yes }: { readonly yes: boolean },
): Promise<void> {
  const vault = await openVault(context)
  const found = mailKeysOf(vault.contents, domain, 'smime').filter((entry) =>
    entry.id.startsWith(id.toLowerCase()),
  )
  const [entry] = found
  if (entry === undefined || found.length > 1)
    throw new PermError('cli/usage', `${found.length} S/MIME keys of ${domain} begin with ${id}`)
  const retired = new Date(context.clock.nowMs()).toISOString()
  if (!yes) await confirm(`Retire ${entry.id}? What is sealed for it does not open any more.`)
  await vault.save(withChangedMailKey(vault.contents, domain, 'smime', { ...entry, retired }))
  context.terminal.line(`S/MIME key ${entry.id} of ${domain} is retired.`)
}
