// Who looks after held mail: one process at a time tries it again, does what operators ask for, returns what has waited too
// long, and tells senders.
import type { Lease } from '../../cache/lease.ts'
import type { Clock } from '../../clock.ts'
import { HishoError } from '../../errors.ts'
import type { HeldMail, Request } from './held-mail.ts'
import type { Notice, NoticeKind } from './notice.ts'
import type { HeldStore } from './store.ts'

/**
 * `sealed`: only to those who have a key now. `as-owed`: as the table says now, in clear too. `plain`: in clear as well where
 * the table would have it wait.
 */
export type SendMode = 'sealed' | 'as-owed' | 'plain'

export interface RoundsOptions {
  readonly store: HeldStore
  /** Its holder does the work for as long as it lives. */
  readonly lease: Lease
  readonly clock: Clock
  /** Whether anything is done at all just now. */
  readonly isEnabled: () => boolean
  readonly days: number
  readonly retrySeconds: number
  /** Puts into the queue what may go, and says for which recipients. TempError or PermError: none of it. */
  readonly send: (mail: HeldMail, mode: SendMode) => Promise<readonly string[]>
  readonly tell: (mail: HeldMail, notice: Notice, expires: Date) => Promise<void>
  readonly log: (level: 'info' | 'notice' | 'warn', message: string) => void
}

export interface Rounds {
  /** Looks from now on, in the background. */
  start(): void
  /** One look. Never fails: what does not work now is tried again. */
  look(): Promise<void>
  close(): void
}

/** A look at a directory that is not there costs nothing. */
const LOOK_MS = 2000
const DAY_MS = 86_400_000
const MODES: Partial<Record<Request, SendMode>> = { release: 'as-owed', 'release-plain': 'plain' }

export function createRounds(options: RoundsOptions): Rounds {
  const { store, lease, clock, isEnabled, days, retrySeconds, send, tell, log } = options
  let timer: NodeJS.Timeout | undefined
  let isBusy = false
  let retriedMs = Number.NEGATIVE_INFINITY
  /** Whose senders could not be told, until all is tried again. */
  const tried = new Set<string>()

  const expiryOf = ({ since }: HeldMail): Date => new Date(Date.parse(since) + days * DAY_MS)
  const say = async (mail: HeldMail, kind: NoticeKind, to = mail.recipients): Promise<void> => {
    // RFC 5321 section 4.5.5: to the null sender nothing is said.
    if (mail.sender !== '') await tell(mail, { kind, recipients: to }, expiryOf(mail))
  }
  const end = async (mail: HeldMail, kind: 'dropped' | 'expired', text: string): Promise<void> => {
    // Said first: a notice that comes twice is better than mail that is gone in silence.
    await say(mail, kind)
    await store.remove(mail.id)
    log('notice', `held mail ${mail.id}: ${text}`)
  }

  const trySending = async (mail: HeldMail, mode: SendMode): Promise<HeldMail | undefined> => {
    const gone = await send(mail, mode)
    if (gone.length === 0) return mail
    const left = mail.recipients.filter((recipient) => !gone.includes(recipient))
    const rest = { ...mail, recipients: left }
    await (left.length === 0 ? store.remove(mail.id) : store.update(rest))
    log('notice', `held mail ${mail.id}: sent for ${gone.length}, ${left.length} still wait`)
    await say(mail, 'sent', gone).catch((error: unknown) => warn(mail, error))
    return left.length === 0 ? undefined : rest
  }
  const warn = (mail: HeldMail, error: unknown): void => {
    const reason = error instanceof HishoError ? `${error.code}: ${error.message}` : String(error)
    log('warn', `held mail ${mail.id} stays: ${reason}`)
  }
  const tend = async (mail: HeldMail, request: Request | undefined, isDue: boolean) => {
    if (request === 'drop') return end(mail, 'dropped', 'dropped, and its sender told')
    if (request === 'drop-silently') {
      await store.remove(mail.id)
      return log('notice', `held mail ${mail.id}: dropped in silence`)
    }
    let left: HeldMail | undefined = mail
    const mode = request === undefined ? 'sealed' : (MODES[request] ?? 'sealed')
    if (request !== undefined || isDue) {
      // Done or not: whoever asked reads the log, and may ask again.
      if (request !== undefined) await store.forgetRequest(mail.id)
      left = await trySending(mail, mode).catch((error: unknown) => {
        warn(mail, error)
        return mail
      })
      if (left && request !== undefined)
        log(
          'warn',
          `held mail ${mail.id}: ${request} was asked for, and ${left.recipients.length} still wait`,
        )
    }
    if (!left) return
    if (clock.nowMs() >= expiryOf(left).getTime())
      return end(left, 'expired', 'returned: no key came')
    if (left.isAnnounced || tried.has(left.id)) return
    tried.add(left.id)
    await say(left, 'held')
    await store.update({ ...left, isAnnounced: true })
  }

  const goRound = async (): Promise<void> => {
    const names = await store.names()
    if (!names.some((name) => /\.(?:json|eml)$/.test(name))) return
    if (!(await lease.renew()) && !(await lease.take())) return
    const isDue = clock.nowMs() - retriedMs >= retrySeconds * 1000
    if (isDue) {
      retriedMs = clock.nowMs()
      tried.clear()
    }
    for (const mail of await store.list()) {
      try {
        await tend(mail, await store.requestFor(mail.id), isDue)
        await lease.renew()
      } catch (error) {
        warn(mail, error)
      }
    }
    if (isDue) await store.sweep()
  }
  const look = async (): Promise<void> => {
    if (isBusy || !isEnabled()) return
    isBusy = true
    try {
      await goRound()
    } catch (error) {
      log('warn', `held mail was not looked after: ${error instanceof Error ? error.message : ''}`)
    } finally {
      isBusy = false
    }
  }
  return {
    look,
    start() {
      timer ??= setInterval(() => void look(), LOOK_MS).unref()
    },
    close() {
      clearInterval(timer)
    },
  }
}
