// What the sender of a held message is told: a report of RFC 3464, from the null sender, without a word of the message.
import { randomBytes } from 'node:crypto'
import type { HeldMail } from './held-mail.ts'

export type NoticeKind = 'held' | 'sent' | 'dropped' | 'expired'

export interface Notice {
  readonly kind: NoticeKind
  /** Those whom it is about. */
  readonly recipients: readonly string[]
}

export interface NoticeOptions {
  /** The name of this host. */
  readonly me: string
  readonly now: Date
  readonly expires: Date
}

interface Wording {
  readonly subject: string
  readonly lines: (expires: string) => readonly string[]
  /** RFC 3464 section 2.3.3. */
  readonly action: 'delayed' | 'relayed' | 'failed'
  /** RFC 3463 sections 3.3 and 3.8. */
  readonly status: string
}

const WORDINGS: Readonly<Record<NoticeKind, Wording>> = {
  held: {
    subject: 'Not sent yet: there is no key for the recipient',
    lines: (expires) => [
      'Your message was accepted and waits here. It was not sent yet to the addresses below: the rules of',
      'this server do not let it go there in clear, and there is no key for them.',
      '',
      'It goes by itself as soon as there is one. If there is none until',
      `${expires}, it is returned to you. If it cannot wait, ask your administrators.`,
    ],
    action: 'delayed',
    status: '4.7.3',
  },
  sent: {
    subject: 'Sent: your message that had waited for a key',
    lines: () => ['Your message that had waited here is now on its way to the addresses below.'],
    action: 'relayed',
    status: '2.0.0',
  },
  dropped: {
    subject: 'Not sent: your message that waited for a key',
    lines: () => [
      'Your message that waited here was not sent to the addresses below: there was no key for them, and',
      'your administrators have taken it out.',
    ],
    action: 'failed',
    status: '5.7.1',
  },
  expired: {
    subject: 'Not sent: no key came for the recipient',
    lines: () => [
      'Your message was not sent to the addresses below: the rules of this server do not let it go there in',
      'clear, and no key for them came as long as it waited here.',
    ],
    action: 'failed',
    status: '5.7.3',
  },
}

/** The whole message, lines with CRLF, for `mail.sender`. */
export function formatNotice(
  { kind, recipients }: Notice,
  mail: HeldMail,
  { me, now, expires }: NoticeOptions,
): string {
  const { subject, lines, action, status } = WORDINGS[kind]
  const boundary = randomBytes(12).toString('hex')
  const id = mail.messageId
  return [
    `Date: ${mailDate(now)}`,
    `From: MAILER-DAEMON@${me}`,
    `To: <${mail.sender}>`,
    `Subject: ${subject}`,
    `Message-ID: <${randomBytes(12).toString('hex')}@${me}>`,
    'Auto-Submitted: auto-replied', // RFC 3834 section 5
    ...(id === undefined ? [] : [`In-Reply-To: ${id}`, `References: ${id}`]),
    'MIME-Version: 1.0',
    `Content-Type: multipart/report; report-type=delivery-status; boundary="${boundary}"`,
    '',
    `--${boundary}`,
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
    '',
    ...lines(mailDate(expires)),
    '',
    ...recipients.map((recipient) => `    ${recipient}`),
    '',
    `The message of ${mail.since} is known here as ${mail.id}.`,
    '',
    `--${boundary}`,
    'Content-Type: message/delivery-status',
    '',
    `Reporting-MTA: dns; ${me}`,
    `Arrival-Date: ${mailDate(new Date(mail.since))}`,
    ...recipients.flatMap((recipient) => [
      '',
      `Final-Recipient: rfc822; ${asAscii(recipient)}`,
      `Action: ${action}`,
      `Status: ${status}`,
      ...(kind === 'held' ? [`Will-Retry-Until: ${mailDate(expires)}`] : []),
    ]),
    '',
    ...(id === undefined
      ? []
      : [`--${boundary}`, 'Content-Type: text/rfc822-headers', '', `Message-ID: ${id}`, '']),
    `--${boundary}--`,
    '',
  ].join('\r\n')
}

function mailDate(date: Date): string {
  return date.toUTCString().replace('GMT', '+0000')
}

function asAscii(address: string): string {
  return address.replaceAll(/[^ -~]/gu, '?')
}
