// What hisho/verify does in data_post, behind hisho/decrypt: the signatures of what arrived are judged, on the restored message.
import { PermError } from '../errors.ts'
import { formatAuthResult, formatContentResult, formatMark } from '../mail/auth-results.ts'
import { closeBody } from '../mail/message.ts'
import { signatureText } from '../mail/opened-mark.ts'
import {
  contentSignatureOf,
  judgeContent,
  judgeSignature,
  type ContentJudgement,
  type SignatureJudgement,
} from '../protection/verification.ts'
import type { VerifySettings } from '../services/plugin-settings.ts'
import type { Services } from '../services/services.ts'
import type { Connection, Plugin, Transaction } from './api.ts'
import { whatWasSeen } from './decrypt.ts'
import { readExact } from './exact-message.ts'
import { looksSigned, noteSignature } from './header-list.ts'
import { GO_ON, type Verdict } from './hook.ts'

const judged = new WeakSet<Transaction>()

export function wasJudged(transaction: Transaction): boolean {
  return judged.has(transaction)
}

export interface VerifyContext {
  readonly plugin: Plugin
  readonly services: Services
  readonly settings: VerifySettings
}

/** data_post. */
export async function verifyTransaction(
  { plugin, services, settings }: VerifyContext,
  connection: Connection,
): Promise<Verdict> {
  const transaction = connection.transaction
  if (!transaction) return GO_ON
  const reason = !settings.enabled
    ? 'switched off'
    : connection.relaying
      ? 'submitted by our own side'
      : undefined
  if (reason !== undefined) {
    judged.add(transaction)
    transaction.results?.add(plugin, { skip: reason })
    return GO_ON
  }
  const judgements = await judge(services, transaction)
  report(plugin, connection, transaction, judgements)
  refuse(judgements)
  judged.add(transaction)
  return GO_ON
}

interface Judgements {
  /** Of the IBE-Signature. */
  readonly ibe: SignatureJudgement
  /** Of a signature that is a part of the content. */
  readonly content?: ContentJudgement
  /** It was inside of what hisho/decrypt opened, which has told its result. */
  readonly isReported: boolean
}

async function judge(services: Services, transaction: Transaction): Promise<Judgements> {
  const table = services.table.current()
  const message = await readExact(transaction, { undoRenaming: false })
  let ibe: SignatureJudgement
  try {
    ibe = await judgeSignature(message, { table, signatures: services.signatures })
  } finally {
    await closeBody(message)
  }
  const inside = whatWasSeen(transaction)?.signature
  const content = inside ?? (await contentSignature(services, transaction))
  return {
    ibe,
    ...(content && { content: judgeContent(content, message.fields, table) }),
    isReported: inside !== undefined,
  }
}

async function contentSignature({ schemes }: Services, transaction: Transaction) {
  if (!looksSigned(transaction.header)) return undefined
  return contentSignatureOf(await readExact(transaction, { undoRenaming: false }), schemes)
}

function report(
  plugin: Plugin,
  connection: Connection,
  transaction: Transaction,
  { ibe, content, isReported }: Judgements,
): void {
  const { result, action, finding } = ibe
  const text = formatAuthResult(result)
  const key = { good: 'pass', nothing: 'skip', missing: 'fail', bad: 'fail' }[finding]
  transaction.results?.add(plugin, { [key]: text })
  connection.auth_results(text)
  if (action === 'mark') transaction.add_leading_header('Hisho-Signature', formatMark(result))
  if (finding === 'missing' || finding === 'bad')
    connection.lognotice(plugin, `${finding} signature (${action}): ${text}`)
  if (content) reportContent(plugin, connection, transaction, content, isReported)
  // One over the content says more than that there is none of ours.
  const isOurs = result.status !== 'none' || !content
  noteSignature(
    transaction.header,
    isOurs ? `signature=${result.status}` : signatureText(content.signature),
  )
}

function reportContent(
  plugin: Plugin,
  connection: Connection,
  transaction: Transaction,
  { signature, action }: ContentJudgement,
  isReported: boolean,
): void {
  const text = formatContentResult(signature)
  if (!isReported) connection.auth_results(text)
  transaction.results?.add(plugin, { [signature.result.status === 'pass' ? 'pass' : 'msg']: text })
  if (action === 'accept') return
  connection.lognotice(plugin, `bad signature (${action}): ${text}`)
  if (action === 'mark')
    transaction.add_leading_header(
      'Hisho-Signature',
      formatMark(signature.result, signature.method),
    )
}

function refuse({ ibe: { action, finding, result }, content }: Judgements): void {
  if (content?.action === 'reject')
    throw new PermError('signature/failed', formatContentResult(content.signature), {
      peerText: 'the signature of this message does not verify',
    })
  if (action !== 'reject') return
  if (finding === 'missing')
    throw new PermError('signature/missing', 'the domain of From signs, and this is not signed', {
      peerText: 'the domain of From signs its mail, and this message has no signature of it',
    })
  throw new PermError('signature/failed', formatAuthResult(result), {
    peerText: 'the IBE-Signature of this message does not verify',
  })
}
