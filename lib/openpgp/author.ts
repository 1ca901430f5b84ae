// What signatures say of the author of a message. docs/openpgp.md, "Signatures".
import { HishoError } from '../errors.ts'
import { mailboxesIn } from '../mail/address.ts'
import type { CorrespondentKeys, FoundKey } from '../mail/correspondent-keys.ts'
import { fieldsNamed, type Field } from '../mail/header.ts'
import type { ContentSignature, SchemeSettings } from '../mail/scheme.ts'
import type { SignatureResult } from '../mail/signature.ts'
import { copies, wipe, type OpenPgpPool } from './openpgp.ts'
import { partsOf, WHOLE_DOMAIN } from '../mail/own-mail-keys.ts'
import type { OpenPgpKeySource, OwnKey } from './own-keys.ts'
import { openPgpSettings } from './settings.ts'
import type { SignatureFacts } from './signatures.ts'

export interface AuthorOptions {
  readonly pool: OpenPgpPool
  readonly keys: OpenPgpKeySource
  readonly correspondentKeys: CorrespondentKeys
  readonly settingsOf: (domain: string) => SchemeSettings
  readonly normalizeAddress: (address: string) => string
}

export interface SignedContent {
  readonly content: Uint8Array
  /** Of large content, in its place: what each signature is over. */
  readonly digests?: readonly Uint8Array[]
  /** Packets, one after the other. */
  readonly signatures: Uint8Array
  /** Of the message with this content. */
  readonly fields: readonly Field[]
  /** Why it cannot be said to be of its author, whatever the signatures say. */
  readonly doubt?: string
}

/** Never throws for what a message says. */
export async function judgeAuthor(
  signed: SignedContent,
  options: AuthorOptions,
): Promise<ContentSignature> {
  return { method: 'x-openpgp', result: await resultOf(signed, options) }
}

async function resultOf(signed: SignedContent, options: AuthorOptions): Promise<SignatureResult> {
  const { content, signatures, digests } = signed
  if (signatures.length === 0) return { status: 'none' }
  try {
    const author = authorOf(signed.fields, options)
    if (author === undefined) return { status: 'neutral', reason: 'there is no one author in From' }
    const found = await keysOf(author, options)
    const { found: facts } = await options.pool.run('verify', {
      content,
      signatures,
      ...(digests && { digests }),
      certificates: copies(found.map(({ bytes }) => bytes)),
    })
    if (facts.length === 0)
      return { status: 'permerror', reason: 'signatures that cannot be read, or too many' }
    const names = { identity: author, domain: partsOf(author).domain }
    const result = judge(facts, found)
    if (result !== undefined) return { ...result, ...names }
    if (signed.doubt !== undefined) return { status: 'neutral', reason: signed.doubt, ...names }
    return { status: 'pass', ...names }
  } catch (error) {
    if (!(error instanceof HishoError)) throw error
    const status = error.statusClass === 4 ? 'temperror' : 'permerror'
    return { status, reason: error.code }
  }
}

/** RFC 5322 section 3.6.2: one field, and here one mailbox in it. */
function authorOf(
  fields: readonly Field[],
  { normalizeAddress }: AuthorOptions,
): string | undefined {
  const authors = mailboxesIn(fields, 'from')
  if (fieldsNamed(fields, 'from').length !== 1 || authors.length !== 1) return undefined
  try {
    return normalizeAddress(authors[0] ?? '')
  } catch (error) {
    if (error instanceof HishoError) return undefined
    throw error
  }
}

type KnownKey = Pick<FoundKey, 'bytes' | 'fingerprint' | 'untrusted'>

/** Of an author of ours those of the vault, of others what is known of them. */
async function keysOf(author: string, options: AuthorOptions): Promise<readonly KnownKey[]> {
  const { user, domain } = partsOf(author)
  const own = (await options.keys.contents()).get(domain)?.openpgp ?? []
  if (own.length > 0) {
    const theirs = own.filter((key) => [user, WHOLE_DOMAIN].includes(key.user))
    return publicHalves(theirs, options.pool)
  }
  const { sources } = openPgpSettings(options.settingsOf(domain))
  const found = await options.correspondentKeys.find('openpgp', author, sources)
  return found.filter(
    ({ source, addresses }) => source === 'operator' || addresses.includes(author),
  )
}

async function publicHalves(own: readonly OwnKey[], pool: OpenPgpPool): Promise<KnownKey[]> {
  const halves: KnownKey[] = []
  for (const keys of copies(own.map(({ secret }) => secret))) {
    const { found } = await pool.run('readKeys', { keys })
    wipe([keys])
    halves.push(
      ...found.map(({ fingerprint, certificate }) => ({ fingerprint, bytes: certificate })),
    )
  }
  return halves
}

/** undefined: nothing speaks against it. */
function judge(
  facts: readonly SignatureFacts[],
  keys: readonly KnownKey[],
): { readonly status: 'fail' | 'neutral'; readonly reason: string } | undefined {
  const of = (status: SignatureFacts['status']): SignatureFacts | undefined =>
    facts.find((one) => one.status === status)
  if (of('bad')) return { status: 'fail', reason: 'the signature is not good' }
  const good = of('good')
  if (good?.status === 'good') {
    const key = keys.find(({ fingerprint }) => fingerprint === good.fingerprint)
    return key?.untrusted === undefined
      ? undefined
      : { status: 'neutral', reason: 'made by a key that is not trusted' }
  }
  if (of('outdated'))
    return { status: 'neutral', reason: 'made by a key that has expired or is revoked' }
  return { status: 'neutral', reason: 'made by a key that is not known to be of the author' }
}
