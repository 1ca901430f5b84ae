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

/** Once it has passed, the answer was given and nothing may be committed any more. (An AbortSignal costs more than a hook.) */
export interface Deadline {
  readonly passed: boolean
}

export type Body<T> = (
  plugin: Plugin,
  target: T,
  deadline: Deadline,
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
    const answer = ({ code, message }: Verdict): void => {
      if (answered) return
      answered = true
      clearTimeout(timer)
      try {
        next(code, message)
      } catch (error) {
        // A later plugin threw inside next(): it must not be taken for our own failure, nor become a rejection.
        quietly(() => this.logcrit(`a hook after this one failed: ${describe(error)}`))
      }
    }
    const fail = (error: unknown): void => {
      answer(refusal(error))
      quietly(() => logFailure(this, target, error))
    }
    try {
      const deadline = { passed: false }
      const seconds = (this.timeout > 1 ? this.timeout : DEADLINE_SECONDS) - 1
      timer = setTimeout(() => {
        answer(LATER)
        quietly(() =>
          this.logcrit(`no result after ${seconds} s: answered with a temporary failure`),
        )
        deadline.passed = true
      }, seconds * 1000)
      Promise.resolve()
        .then(() => body(this, target, deadline, parameters))
        // Haraka takes an answer without a code for "go on".
        .then((verdict) => (isVerdict(verdict) ? answer(verdict) : fail(new Error('no verdict'))))
        .catch(fail)
    } catch (error) {
      fail(error)
    }
  }
}

const LATER: Verdict = { code: DENYSOFT, message: '4.3.0 try again later' }

function isVerdict(value: unknown): value is Verdict {
  return (
    typeof value === 'object' && value !== null && 'code' in value && typeof value.code === 'number'
  )
}

/** For what is said after the answer: it must neither change that nor end the process. */
function quietly(say: () => void): void {
  try {
    say()
  } catch {
    // a log that cannot be written to
  }
}

/** Text for the peer: generic unless the error says what may be told, with the right digits (RFC 3463). */
function refusal(error: unknown): Verdict {
  if (error instanceof PermError)
    return { code: DENY, message: `${error.status} ${error.peerText ?? 'message refused'}` }
  if (error instanceof HishoError)
    return { code: DENYSOFT, message: `${error.status} ${error.peerText ?? 'try again later'}` }
  return { code: DENYSOFT, message: '4.3.0 try again later' }
}

function logFailure(plugin: Plugin, target: object, error: unknown): void {
  const known = error instanceof HishoError
  const text = known
    ? describe(error)
    : `a bug: ${error instanceof Error ? error.stack : String(error)}`
  // A connection logs with its own id; the queue's items and the server do not.
  if ('logwarn' in target && 'transaction' in target)
    (target as Connection)[known ? 'logwarn' : 'logcrit'](plugin, text)
  else plugin[known ? 'logwarn' : 'logcrit'](text)
}

/** Code, message and causes; never anything else of an error. */
export function describe(error: unknown, depth = 0): string {
  if (!(error instanceof Error)) return typeof error === 'string' ? error : `a ${typeof error}`
  const own = error instanceof HishoError ? `${error.code}: ${error.message}` : error.message
  // Causes may go in circles.
  const more = error.cause !== undefined && depth < MAX_CAUSES
  return more ? `${own} (${describe(error.cause, depth + 1)})` : own
}

const MAX_CAUSES = 8

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
