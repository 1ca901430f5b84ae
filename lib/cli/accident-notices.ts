// The letters of `hisho accident`: what happened, from when to when, what to do. Plain text, for people.

interface MasterKeyFacts {
  readonly domain: string
  readonly from: Date
  readonly now: Date
  /** The new records. */
  readonly fresh: readonly string[]
}

export function toUsersAboutMasterKey({ domain, from, now }: MasterKeyFacts): string {
  return letter(`To all users of ${domain}`, now, [
    `The key that opens encrypted mail for ${domain} may be in the hands of somebody else.`,
    `Mail that was encrypted for ${domain} between ${when(from)} and ${when(inADay(now))} may have been read by others, if they recorded it on its way. Signatures in the name of ${domain} from that time prove nothing.`,
    'A new key is in use now. You need not do anything for it. Tell your correspondents about confidential matters that they wrote to you in that time, and ask them back if a message from us of that time surprises them.',
  ])
}

export function toCorrespondents({ domain, from, now, fresh }: MasterKeyFacts): string {
  return letter(`To the operators of mail servers that write to ${domain}`, now, [
    `The master key of ${domain} may have leaked. Mail that you encrypted for ${domain} since ${when(from)} may have been read by others; signatures of ${domain} since then prove nothing.`,
    'New public parameters are in DNS. The old ones do not vouch for them, since whoever has the old key could do so too. Compare what your server sees with this, by a way that you trust, before you confirm it:',
    ...fresh,
    `With hisho: \`hisho params show ${domain}\`, then \`hisho params accept ${domain}\`. Until then your server defers mail for ${domain} where you require encryption.`,
  ])
}

interface MailboxFacts {
  readonly mailbox: string
  readonly now: Date
}

export function toUserAboutIdentityKey({
  mailbox,
  from,
  until,
  now,
}: MailboxFacts & { readonly from: Date; readonly until: Date }): string {
  return letter(`To ${mailbox}`, now, [
    `The key of your address may be in the hands of somebody else. Encrypted mail to ${mailbox} between ${when(from)} and ${when(until)} may have been read by others, if they recorded it on its way, and mail that bears your signature from that time may not be yours.`,
    'Your mailbox and your password are not affected. You need not do anything; tell those who wrote to you about confidential matters in that time.',
  ])
}

export function toUserAboutPassword({
  mailbox,
  from,
  now,
}: MailboxFacts & { readonly from: Date | undefined }): string {
  const since = from ? `since ${when(from)}` : 'since we do not know when'
  return letter(`To ${mailbox}`, now, [
    `Somebody else may have had the password of your mailbox ${since}. They could read all mail in it, old and new, and send mail in your name that bears your signature.`,
    'Choose a new password now, here and wherever you used the old one. Look through what was sent in your name, and tell those who wrote to you about confidential matters.',
  ])
}

function letter(to: string, now: Date, paragraphs: readonly string[]): string {
  return [to, when(now), ...paragraphs].map((text) => `${text}\n`).join('\n')
}

/** Senders keep the old parameters for a day at most. */
function inADay(date: Date): Date {
  return new Date(date.getTime() + 86_400_000)
}

function when(date: Date): string {
  return `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`
}
