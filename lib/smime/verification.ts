// What the signatures of a message say of its author, and what is learned from them: RFC 8550, docs/smime.md.
import type { Clock } from '../clock.ts'
import { HishoError, PermError } from '../errors.ts'
import { mailboxesIn } from '../mail/address.ts'
import type { CorrespondentKeys } from '../mail/correspondent-keys.ts'
import type { Field } from '../mail/header.ts'
import type { Message } from '../mail/message.ts'
import type { ContentSignature, SchemeSettings } from '../mail/scheme.ts'
import { readTwoParts } from '../mail/two-parts.ts'
import { readRecipientKey } from './cms/certificate-key.ts'
import { decoded } from './entity.ts'
import { LARGEST_MESSAGE_BYTES } from './limits.ts'
import { isMultipartSigned, readCms } from './mime.ts'
import type { SmimePool } from './pool.ts'
import { smimeSettings } from './settings.ts'
import type { SignatureCheck } from './signed/check.ts'
import { judgeSigner } from './signed/judge.ts'
import { judgeTrust, type SignedOutcome } from './signed/verify.ts'
import type { Trust } from './trust/trust.ts'

export interface VerificationOptions {
  readonly pool: SmimePool
  readonly trust: Trust
  readonly clock: Clock
  readonly correspondentKeys: CorrespondentKeys
  readonly settingsOf: (domain: string) => SchemeSettings
  readonly normalizeAddress: (address: string) => string
  /** `canBeSealedFor`, remembered: to read a certificate takes longer than all else that is done here. */
  readonly isUsable: (certificate: Uint8Array) => boolean
  readonly log: (level: 'notice' | 'warn', message: string) => void
}

/** Of a message that is signed and not encrypted. Reads its body to the end; never throws for what it says. */
export async function verifyMessage(
  message: Message,
  options: VerificationOptions,
): Promise<ContentSignature> {
  try {
    const check = await options.pool.run('check', await signedParts(message))
    return (await judgeSignature(check, message.fields, options)).signature
  } catch (error) {
    if (!(error instanceof HishoError)) throw error
    const status = error.statusClass === 4 ? 'temperror' : 'permerror'
    return { method: 'smime', result: { status, reason: error.code } }
  }
}

async function signedParts(
  message: Message,
): Promise<{ cms: Uint8Array; content: Uint8Array | undefined }> {
  if (!isMultipartSigned(message.fields)) return { cms: await readCms(message), content: undefined }
  const [content, signature] = await readTwoParts(message, LARGEST_MESSAGE_BYTES)
  return { cms: await decoded(signature, signature.body), content: content.raw }
}

export interface JudgedSignature {
  readonly outcome: SignedOutcome
  readonly signature: ContentSignature
}

/** `fields`: of the message whose content was signed. A certificate that is shown to be the author's is remembered. */
export async function judgeSignature(
  check: SignatureCheck,
  fields: readonly Field[],
  options: VerificationOptions,
): Promise<JudgedSignature> {
  const { trust, clock, normalizeAddress } = options
  const at = new Date(clock.nowMs())
  const revocation = revocationFor(fields, options)
  const outcome = await judgeTrust(check, trust, {
    at,
    ...(revocation !== undefined && { revocation }),
  })
  const signature = judgeSigner(outcome, fields, normalizeAddress)
  if (signature.result.status === 'pass' && outcome.status === 'good')
    await harvest(outcome, signature.result.identity, options)
  return { outcome, signature }
}

function revocationFor(fields: readonly Field[], { settingsOf }: VerificationOptions) {
  return smimeSettings(settingsOf(authorDomain(fields))).revocation
}

/** Of the one author; '' where there is not one. */
export function authorDomain(fields: readonly Field[]): string {
  const [author = '', ...others] = mailboxesIn(fields, 'from')
  return others.length > 0 ? '' : author.slice(author.lastIndexOf('@') + 1).toLowerCase()
}

/** The one to encrypt to may be another one than that which has signed, and stands beside it then: RFC 8551 section 2.5.3. */
async function harvest(
  { signers, certificates }: Extract<SignedOutcome, { status: 'good' }>,
  identity: string,
  { trust, clock, correspondentKeys, isUsable, log }: VerificationOptions,
): Promise<void> {
  const request = { at: new Date(clock.nowMs()), address: identity }
  try {
    for (const certificate of [...signers.map((one) => one.certificate), ...certificates]) {
      if (!isUsable(certificate)) continue
      const found = await trust.checkRecipient(certificate, certificates, request)
      if (found.status !== 'trusted') continue
      await correspondentKeys.harvest('smime', identity, certificate)
      return
    }
  } catch (error) {
    if (!(error instanceof HishoError)) throw error
    log('warn', `smime: a certificate of ${identity} is not remembered: ${error.code}`)
  }
}

export function canBeSealedFor(certificate: Uint8Array): boolean {
  try {
    return readRecipientKey(certificate).kind !== undefined
  } catch (error) {
    if (error instanceof PermError) return false
    throw error
  }
}
