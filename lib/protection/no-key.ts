// What becomes of mail for recipients without a key, or of whose key nobody can say anything now.
import { HishoError, PermError, TempError } from '../errors.ts'
import type { Decision, Member, OutgoingOptions, Party } from './decision.ts'
import { isOwed } from './domain-rule.ts'

/** Nobody has a key for them. */
export async function withoutKey(
  party: Party<Member>,
  options: OutgoingOptions,
): Promise<Decision> {
  const { rule } = party
  const who = whoOf(party)
  const reason = `there is no key for ${who} (${rule.schemes.join(', ')})`
  if (rule.onNoKey === 'hold') return { kind: 'hold', reason }
  if (rule.onNoKey === 'send_plain') return clearUnlessAnswer(party, `no key for ${who}`, options)
  const why =
    options.raisedBy === undefined
      ? rule.encrypt === 'required'
        ? `encryption is required (${rule.pattern})`
        : `on_no_key: reject (${rule.pattern})`
      : `encryption is asked for (${options.raisedBy})`
  throw new PermError('protection/no-key', `${party.domain}: ${why} and ${reason}`, {
    peerText: `encryption is required for ${who}, and there is no key for it`,
  })
}

/** In clear, but for the answer to what came encrypted: content.md C20. */
async function clearUnlessAnswer(
  party: Party<Member>,
  reason: string,
  { answersEncrypted, log }: OutgoingOptions,
): Promise<Decision> {
  const { rule } = party
  const who = whoOf(party)
  if (!(await answersEncrypted?.())) return { kind: 'clear', reason }
  switch (rule.replyPlain) {
    case 'hold':
      return { kind: 'hold', reason: `${reason}, and the mail that is answered came encrypted` }
    case 'reject':
      throw new PermError(
        'protection/no-key',
        `${reason}, and the mail that is answered came encrypted (reply_plain: reject, ${rule.pattern})`,
        {
          peerText: `this answers mail that came encrypted, and there is no key for ${who}: it would go in clear`,
        },
      )
    case 'allow':
      log('warn', `${reason}: an answer to mail that came encrypted goes in clear`)
      return { kind: 'clear', reason }
  }
}

/** What to do when nobody can say whether there is a key, or when what is published cannot be used. */
export async function withoutAnswer(
  party: Party<Member>,
  error: unknown,
  options: OutgoingOptions,
): Promise<Decision> {
  if (!(error instanceof HishoError)) throw error
  const { domain, rule } = party
  const { log } = options
  if (error instanceof PermError) {
    // The other side can mend its record: deferred where it may not go in clear, as good as none elsewhere.
    if (isOwed(rule))
      throw new TempError('protection/no-key', error.message, {
        cause: error,
        peerText: `the key that ${domain} publishes cannot be used now`,
      })
    log('warn', `${domain}: ${error.message}; sent in clear, since its mode is ${rule.encrypt}`)
    return clearUnlessAnswer(party, `${domain}: no usable key`, options)
  }
  if (rule.encrypt === 'required' || rule.onLookupFailure === 'defer') throw error
  // Not a look-up that failed: our own keys are locked away, docs/formats.md section 7.
  if (error.code === 'vault/locked') throw error
  log('warn', `${domain}: ${error.message}; sent in clear (on_lookup_failure: send_plain)`)
  return clearUnlessAnswer(party, `${domain}: look-up failed`, options)
}

/** The domain, or those of its addresses that have a line of their own. */
function whoOf({ domain, rule, members }: Party<Member>): string {
  return rule.pattern.includes('@') ? members.map(({ address }) => address).join(', ') : domain
}
