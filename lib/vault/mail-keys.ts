// Secret keys for OpenPGP and S/MIME, of our domains and of their users, and those of our own CA: one form for all of them.
import { SecretBytes } from '../crypto/secret-bytes.ts'
import { PermError } from '../errors.ts'
import type { OwnMailKey } from '../mail/own-mail-keys.ts'
import type { YamlFile } from '../yaml/document.ts'
import { list, type Path } from '../yaml/values.ts'
import { readEntries } from './entry.ts'
import { withSite, type VaultContents } from './site.ts'

export { WHOLE_DOMAIN } from '../mail/own-mail-keys.ts'

/** The sections of a site that are of this form. */
export const MAIL_KEY_SECTIONS = ['openpgp', 'smime', 'ca'] as const
export type MailKeySection = (typeof MAIL_KEY_SECTIONS)[number]

/**
 * The id is given once in a section of a site: the fingerprint, as a rule. The secret is as the section's format has it: a
 * binary transferable secret key (RFC 9580 section 10.2); PKCS #8 DER. Superseded and revoked ones sign nothing any more, and
 * open what was sealed before; with retired ones nothing is opened.
 */
export interface MailKeyEntry extends OwnMailKey {
  readonly secret: SecretBytes
  /** DER, our own first, then what leads to the root. Of OpenPGP there are none: the secret key holds all. */
  readonly certificates: readonly Uint8Array[]
  /** What a section remembers beside the key, in a form of its own, and no secret: what our CA has issued. */
  readonly notes?: string
}

const OPTIONAL = ['superseded', 'revoked', 'retired', 'notes'] as const

/** PermError vault/malformed; the message names the place, never a value. */
export function parseMailKeys(yaml: YamlFile, path: Path, value: unknown): MailKeyEntry[] {
  return readEntries(yaml, path, list(yaml, path, value)).map(
    ({ fields, text, optional, fail }, at) => {
      const base64 = (name: string, encoded: unknown): Uint8Array => {
        const bytes = Buffer.from(String(encoded), 'base64')
        const isCanonical = bytes.length > 0 && bytes.toString('base64') === encoded
        return isCanonical ? Uint8Array.from(bytes) : fail(name, 'must be base64')
      }
      const certificates = list(yaml, [...path, at, 'certificates'], fields['certificates'] ?? [])
      return {
        id: text('id'),
        user: text('user'),
        secret: new SecretBytes(base64('secret', text('secret'))),
        certificates: certificates.map((one) => base64('certificates', one)),
        created: text('created'),
        ...optional(...OPTIONAL),
      }
    },
  )
}

/** For the YAML of the vault. It holds the secret. */
export function plainMailKey(entry: MailKeyEntry): object {
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
  return {
    id: entry.id,
    user: entry.user,
    secret: base64(entry.secret.bytes),
    ...(entry.certificates.length > 0 && { certificates: entry.certificates.map(base64) }),
    created: entry.created,
    ...Object.fromEntries(
      OPTIONAL.flatMap((name) => (entry[name] === undefined ? [] : [[name, entry[name]]])),
    ),
  }
}

export function mailKeysOf(
  contents: VaultContents,
  domain: string,
  section: MailKeySection,
): readonly MailKeyEntry[] {
  return contents.get(domain)?.[section] ?? []
}

/** A copy with one more. PermError if the section has one with this id. */
export function withMailKey(
  contents: VaultContents,
  domain: string,
  section: MailKeySection,
  entry: MailKeyEntry,
): VaultContents {
  const held = mailKeysOf(contents, domain, section)
  if (held.some(({ id }) => id === entry.id))
    throw new PermError('cli/usage', `the vault has a ${section} key ${entry.id} of ${domain}`)
  return withSite(contents, domain, { [section]: [...held, entry] })
}

/** A copy in which something about one key is changed. PermError if there is none with its id. */
export function withChangedMailKey(
  contents: VaultContents,
  domain: string,
  section: MailKeySection,
  changed: MailKeyEntry,
): VaultContents {
  const held = mailKeysOf(contents, domain, section)
  if (!held.some(({ id }) => id === changed.id))
    throw new PermError('cli/usage', `the vault has no ${section} key ${changed.id} of ${domain}`)
  return withSite(contents, domain, {
    [section]: held.map((entry) => (entry.id === changed.id ? changed : entry)),
  })
}
