// What the signature of a message that arrives means: the result, and what the table says about it for the author's domain.
import { PermError, TempError } from '../errors.ts'
import { mailboxesIn } from '../mail/address.ts'
import type { Field } from '../mail/header.ts'
import { closeBody, peekBody, type Message } from '../mail/message.ts'
import { PEEK_BYTES } from '../mail/protected-content.ts'
import type { ContentSignature, Scheme } from '../mail/scheme.ts'
import type { SignatureResult, Signatures } from '../mail/signature.ts'
import type { DomainRule, SignatureAction } from './domain-rule.ts'
import type { DomainTable } from './domain-table.ts'

export interface VerificationOptions {
  readonly table: Pick<DomainTable, 'ruleFor'>
  readonly signatures: Pick<Signatures, 'verify' | 'publishes'>
}

export interface SignatureJudgement {
  readonly result: SignatureResult
  readonly action: SignatureAction
  /** `missing` where the author's domain says that it signs, and no signature of it is there. */
  readonly finding: 'good' | 'missing' | 'bad' | 'nothing'
}

/** Reads the body to its end if there is a signature. TempError where `reject` might be due and nobody can say now. */
export async function judgeSignature(
  message: Message,
  { table, signatures }: VerificationOptions,
): Promise<SignatureJudgement> {
  const authors = authorsOf(message.fields, table)
  const rules = authors.map(({ rule }) => rule)
  const result = await signatures.verify(message, rules[0]?.paramsTrust ?? [])
  switch (result.status) {
    case 'pass':
      return { result, action: 'accept', finding: 'good' }
    case 'temperror':
      if (strictest(rules.map((rule) => rule.failedSignature)) === 'reject')
        throw new TempError('signature/failed', `the signature cannot be checked: ${result.reason}`)
      return { result, action: 'accept', finding: 'nothing' }
    case 'fail':
    case 'permerror': {
      const action = strictest(rules.map((rule) => rule.failedSignature))
      return { result, action, finding: 'bad' }
    }
    case 'neutral':
    case 'none': {
      // A signature that does not speak for the author is as good as none.
      const action = strictest(await missingActions(authors, signatures))
      return { result, action, finding: action === 'accept' ? 'nothing' : 'missing' }
    }
  }
}

export interface ContentJudgement {
  readonly signature: ContentSignature
  readonly action: SignatureAction
}

/** What a signature over the content, of a way that is not ours, means. TempError as `judgeSignature`. */
export function judgeContent(
  signature: ContentSignature,
  fields: readonly Field[],
  table: VerificationOptions['table'],
): ContentJudgement {
  const { status } = signature.result
  if (status === 'pass' || status === 'neutral' || status === 'none')
    return { signature, action: 'accept' }
  const action = strictest(authorsOf(fields, table).map(({ rule }) => rule.failedSignature))
  if (status !== 'temperror') return { signature, action }
  if (action === 'reject')
    throw new TempError(
      'signature/failed',
      `the ${signature.method} signature cannot be checked now`,
    )
  return { signature, action: 'accept' }
}

/** Of a message that is signed and not encrypted, by one of the schemes. Reads the body to its end, or closes it. */
export async function contentSignatureOf(
  read: Message,
  schemes: readonly Scheme[],
): Promise<ContentSignature | undefined> {
  const { start, message } = await peekBody(read, PEEK_BYTES)
  const scheme = schemes.find((known) => known.detectSigned?.(message.fields, start))
  try {
    return await scheme?.verify?.(message)
  } finally {
    await closeBody(message)
  }
}

interface Author {
  readonly domain: string
  readonly rule: DomainRule
}

/** Every mailbox of every From field: one of them alone must not choose the mildest rule. */
function authorsOf(fields: readonly Field[], table: VerificationOptions['table']): Author[] {
  const domains = mailboxesIn(fields, 'from').map((address) =>
    address.slice(address.lastIndexOf('@') + 1).toLowerCase(),
  )
  const distinct = domains.length === 0 ? [''] : [...new Set(domains)]
  return distinct.map((domain) => ({ domain, rule: table.ruleFor(domain) }))
}

async function missingActions(
  authors: readonly Author[],
  signatures: Pick<Signatures, 'publishes'>,
): Promise<SignatureAction[]> {
  return Promise.all(
    authors.map(async ({ domain, rule }) => {
      if (rule.missingSignature === 'accept' || domain === '') return 'accept'
      try {
        const signs = await signatures.publishes(domain, rule.paramsTrust)
        return signs ? rule.missingSignature : 'accept'
      } catch (error) {
        // Records that cannot be used are records: it says that it signs.
        if (error instanceof PermError) return rule.missingSignature
        if (error instanceof TempError && rule.missingSignature === 'mark') return 'accept'
        throw error
      }
    }),
  )
}

const STRICTNESS: readonly SignatureAction[] = ['accept', 'mark', 'reject']

function strictest(actions: readonly SignatureAction[]): SignatureAction {
  return STRICTNESS[Math.max(0, ...actions.map((action) => STRICTNESS.indexOf(action)))] ?? 'accept'
}
