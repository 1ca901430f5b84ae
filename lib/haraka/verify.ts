// What hisho/verify does in data_post, behind hisho/decrypt: the signature of what arrived is judged, on the restored message.
import { PermError } from '../errors.ts'
import { formatAuthResult, formatMark } from '../mail/auth-results.ts'
import { closeBody } from '../mail/message.ts'
import { judgeSignature, type SignatureJudgement } from '../protection/verification.ts'
import type { Services } from '../services/services.ts'
import type { VerifySettings } from '../services/plugin-settings.ts'
import type { Connection, Plugin, Transaction } from './api.ts'
import { readExact } from './exact-message.ts'
import { noteSignature } from './header-list.ts'
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
  const judgement = await judge(services, transaction)
  report(plugin, connection, transaction, judgement)
  refuse(judgement)
  judged.add(transaction)
  return GO_ON
}

async function judge(services: Services, transaction: Transaction): Promise<SignatureJudgement> {
  const message = await readExact(transaction, { undoRenaming: false })
  try {
    return await judgeSignature(message, {
      table: services.table.current(),
      signatures: services.signatures,
    })
  } finally {
    await closeBody(message)
  }
}

function report(
  plugin: Plugin,
  connection: Connection,
  transaction: Transaction,
  { result, action, finding }: SignatureJudgement,
): void {
  const text = formatAuthResult(result)
  const key = { good: 'pass', nothing: 'skip', missing: 'fail', bad: 'fail' }[finding]
  transaction.results?.add(plugin, { [key]: text })
  connection.auth_results(text)
  noteSignature(transaction.header, result.status)
  if (action === 'mark') transaction.add_leading_header('Hisho-Signature', formatMark(result))
  if (finding === 'missing' || finding === 'bad')
    connection.lognotice(plugin, `${finding} signature (${action}): ${text}`)
}

function refuse({ action, finding, result }: SignatureJudgement): void {
  if (action !== 'reject') return
  if (finding === 'missing')
    throw new PermError('signature/missing', 'the domain of From signs, and this is not signed', {
      peerText: 'the domain of From signs its mail, and this message has no signature of it',
    })
  throw new PermError('signature/failed', formatAuthResult(result), {
    peerText: 'the IBE-Signature of this message does not verify',
  })
}
