// One report to all who want it; it is done when one of them has taken it. RFC 8460 sections 3 and 5.4.
import type { PostBytes } from '../http/post-bytes.ts'
import { formatMail, type Letter, type Submitter } from './letter.ts'
import { formatDestination, type Destination } from './record.ts'

/** Into a queue that delivers by itself: it has it when this resolves. Rejects with whatever kept it from that. */
export type QueueMail = (from: string, to: string, text: string) => Promise<void>

export interface SenderOptions {
  readonly queueMail: QueueMail
  readonly postBytes: PostBytes
  readonly submitter: Submitter
  readonly nowMs: () => number
}

export interface Sent {
  readonly accepted: readonly string[]
  /** With the reasons. */
  readonly refused: readonly string[]
}

/** Never rejects. */
export type SendLetter = (letter: Letter, to: readonly Destination[]) => Promise<Sent>

export function createSender(options: SenderOptions): SendLetter {
  const { queueMail, postBytes, submitter, nowMs } = options
  /** undefined: it was taken. */
  const sendTo = async (
    letter: Letter,
    to: Destination,
    place: number,
  ): Promise<string | undefined> => {
    if (to.kind === 'mail') {
      const text = formatMail(letter, submitter, to.address, nowMs(), place)
      return queueMail(submitter.from, to.address, text).then(
        () => undefined,
        (error: unknown) => (error instanceof Error ? error.message : 'unknown failure'),
      )
    }
    const outcome = await postBytes(new URL(to.url), 'application/tlsrpt+gzip', letter.compressed)
    return outcome.status === 'accepted' ? undefined : outcome.reason
  }
  return async (letter, destinations) => {
    const outcomes = await Promise.all(
      destinations.map(async (to, place) => ({
        name: formatDestination(to),
        refusal: await sendTo(letter, to, place),
      })),
    )
    return {
      accepted: outcomes.flatMap(({ name, refusal }) => (refusal === undefined ? [name] : [])),
      refused: outcomes.flatMap(({ name, refusal }) =>
        refusal === undefined ? [] : [`${name}: ${refusal}`],
      ),
    }
  }
}
