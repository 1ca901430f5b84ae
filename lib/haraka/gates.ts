// The gates: whatever happened to the plugins before them (thrown, timed out, skipped, misplaced), nothing passes that
// has not been through them. They look and refuse; they never change anything.
import { TempError } from '../errors.ts'
import { isOwed } from '../protection/domain-rule.ts'
import type { Triggers } from '../protection/trigger.ts'
import type { Services } from '../services/services.ts'
import type { Connection, HMail } from './api.ts'
import { hasArrived } from './decrypt.ts'
import { GO_ON, type Verdict } from './hook.ts'
import { deliveryNoteOf } from './delivery-note.ts'
import { covers, markOf, permits } from './mark.ts'
import { wasConsidered } from './sign.ts'
import { triggerIn } from './submitter.ts'
import { wasJudged } from './verify.ts'

/** Right behind encrypt on the queue hooks. */
export async function checkProtected(
  services: Services,
  connection: Connection,
  triggers: Triggers,
): Promise<Verdict> {
  const transaction = connection.transaction
  if (!transaction) return GO_ON
  refuseUnprotected(services, transaction)
  const trigger = triggerIn(connection, triggers)
  if (trigger !== undefined) refuseUnanswered(services, transaction, trigger)
  return GO_ON
}

/** Its sender asks for encryption; where encrypt has seen to it, the outside of a ciphertext is left. */
function refuseUnanswered(services: Services, envelope: Envelope, trigger: string): void {
  for (const { host, isEncrypted } of foreignRecipients(services, envelope)) {
    if (!isEncrypted)
      throw new TempError(
        'haraka/unprotected',
        `encryption is asked for (${trigger}) and this message is not encrypted for ${host}: held back`,
      )
  }
}

/** First of all in get_mx: mail in the queue, wherever it came from. */
export async function checkQueued(services: Services, hmail: HMail): Promise<Verdict> {
  const { todo } = hmail
  if (!todo) return GO_ON
  try {
    refuseUnprotected(services, todo)
    if (!services.delivery.isOn()) refuseBelowFloor(services, todo)
  } catch (error) {
    // Haraka's own words for a refusal here are of DNS; a bounce shows these beside them.
    if (error instanceof TempError)
      for (const recipient of todo.rcpt_to) recipient.reason = error.message
    throw error
  }
  return GO_ON
}

interface Envelope {
  readonly rcpt_to: readonly { readonly address: string; readonly host: string }[]
  readonly notes: Readonly<Record<string, unknown>>
}

function refuseUnprotected(services: Services, envelope: Envelope): void {
  for (const { host, rule, isEncrypted, isPermitted } of foreignRecipients(services, envelope)) {
    if (isEncrypted || isPermitted || !isOwed(rule)) continue
    const why =
      rule.encrypt === 'required'
        ? `${host} requires encryption`
        : `${host} has on_no_key: ${rule.onNoKey}`
    throw new TempError('haraka/unprotected', `${why} and this message is not encrypted: held back`)
  }
}

/** A floor of transport is kept by hisho/mta_sts and hisho/dane; without them nobody would. */
function refuseBelowFloor(services: Services, envelope: Envelope): void {
  for (const { host, rule, isEncrypted } of foreignRecipients(services, envelope)) {
    if (rule.floor === 'transport' || (rule.floor === 'either' && !isEncrypted))
      throw new TempError(
        'haraka/unprotected',
        `the floor of ${host} is ${rule.floor}, and neither hisho/mta_sts nor hisho/dane is there to keep it: held back`,
      )
  }
}

function* foreignRecipients({ table }: Services, { rcpt_to: recipients, notes }: Envelope) {
  // RFC 8460 section 3: a report of ours holds nothing of anybody's mail, and does not wait for TLS.
  if (deliveryNoteOf(notes).isTlsReport) return
  const rules = table.current()
  const mark = markOf(notes)
  for (const { address, host } of recipients) {
    if (rules.isLocal(host)) continue
    const own = mark && covers(mark, address) ? mark : undefined
    const rule = rules.ruleForAddress(address)
    const isEncrypted = own?.protected === true
    yield { host, rule, isEncrypted, isPermitted: own !== undefined && permits(own, rule) }
  }
}

/** Right behind sign: nothing goes out that sign has not looked at. */
export async function checkConsidered(connection: Connection): Promise<Verdict> {
  const { transaction } = connection
  if (transaction && !wasConsidered(transaction))
    throw new TempError('haraka/unprotected', 'hisho/sign did not see this message: held back')
  return GO_ON
}

/** Behind the gate of decrypt: nothing is delivered whose signature was not looked at. */
export async function checkJudged(connection: Connection): Promise<Verdict> {
  const { transaction } = connection
  if (transaction && !wasJudged(transaction))
    throw new TempError('haraka/unprotected', 'hisho/verify did not see this message: held back')
  return GO_ON
}

/** Before all else on the queue hooks: nothing is delivered that decrypt has not looked at. */
export async function checkArrived(connection: Connection): Promise<Verdict> {
  const transaction = connection.transaction
  if (transaction && !hasArrived(transaction)) {
    throw new TempError(
      'haraka/unprotected',
      'hisho/decrypt did not see this message (a plugin before it ended data_post, or switched it off): held back',
    )
  }
  return GO_ON
}
