// The fail-closed wrapper around every hook. Haraka takes a throw for "go on", and a rejected promise kills the worker
// process: so nothing may throw or reject past this file, and an answer is given exactly once, in time.
import { HishoError, PermError } from '../errors.ts'
import {
  CONT,
  DENY,
  DENYSOFT,
  type Connection,
  type HMail,
  type Loggers,
  type Next,
  type Plugin,
} from './api.ts'

export interface Verdict {
  readonly code: number
  readonly message?: unknown
}

export const GO_ON: Verdict = { code: CONT }

/** `signal` is aborted when the deadline has passed and the answer was given: nothing may be committed after that. */
export type Body<T> = (
  plugin: Plugin,
  target: T,
  signal: AbortSignal,
  parameters: unknown,
) => Promise<Verdict>

/** Haraka's own timer gives DENYSOFT too, but a `<plugin>.timeout` of 0 switches it off; ours stays. */
const DEADLINE_SECONDS = 30

/**
 * Makes an async body a Haraka hook. A PermError is answered DENY, all else DENYSOFT; the client learns the class of
 * the failure and no more, the log has the cause.
 */
export function hook<T extends Connection | HMail>(body: Body<T>) {
  return function hisho_hook(this: Plugin, next: Next, target: T, parameters?: unknown): void {
    let answered = false
    let timer: NodeJS.Timeout | undefined
    const deadline = new AbortController()
    const answer = ({ code, message }: Verdict): void => {
      if (answered) return
      answered = true
      clearTimeout(timer)
      try {
        next(code, message)
      } catch (error) {
        // A later plugin threw inside next(): it must not be taken for our own failure, nor become a rejection.
        this.logcrit(`a hook after this one failed: ${describe(error)}`)
      }
    }
    try {
      const seconds = (this.timeout > 1 ? this.timeout : DEADLINE_SECONDS) - 1
      timer = setTimeout(() => {
        deadline.abort(new Error('deadline'))
        this.logcrit(`no result after ${seconds} s: answered with a temporary failure`)
        answer({ code: DENYSOFT, message: '4.3.0 try again later' })
      }, seconds * 1000)
      Promise.resolve()
        .then(() => body(this, target, deadline.signal, parameters))
        .then(answer, (error: unknown) => {
          logFailure(this, target, error)
          answer(refusal(error))
        })
    } catch (error) {
      answer({ code: DENYSOFT, message: '4.3.0 try again later' })
      this.logcrit(describe(error))
    }
  }
}

/** Text for the peer: generic, with the right digits (RFC 3463). */
function refusal(error: unknown): Verdict {
  if (error instanceof PermError) {
    const reason =
      error.code === 'protection/no-key'
        ? 'encryption is required and the recipient publishes no key'
        : 'message refused'
    return { code: DENY, message: `${error.status} ${reason}` }
  }
  const status = error instanceof HishoError ? error.status : '4.3.0'
  return { code: DENYSOFT, message: `${status} try again later` }
}

function logFailure(plugin: Plugin, target: object, error: unknown): void {
  if (error instanceof HishoError) plugin.logwarn(describe(error), logTarget(target))
  else
    plugin.logcrit(
      `a bug: ${error instanceof Error ? error.stack : String(error)}`,
      logTarget(target),
    )
}

/** Haraka's log finds the message id by itself in a connection; other objects would only be printed. */
function logTarget(target: object): object | string {
  return 'transaction' in target ? target : ''
}

/** Code, message and causes; never anything else of an error. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const own = error instanceof HishoError ? `${error.code}: ${error.message}` : error.message
  return error.cause === undefined ? own : `${own} (${describe(error.cause)})`
}

/** A log function for lib, which knows no plugin. */
export function logTo(
  logger: Loggers,
): (level: 'info' | 'notice' | 'warn' | 'error', message: string) => void {
  return (level, message) => {
    const methods = {
      info: 'loginfo',
      notice: 'lognotice',
      warn: 'logwarn',
      error: 'logerror',
    } as const
    logger[methods[level]](message)
  }
}
