// What the doctor says about one thing.

export type Status = 'ok' | 'warn' | 'fail'

export interface Finding {
  /** What was looked at, the same word for good and bad: for scripts. */
  readonly check: string
  readonly status: Status
  readonly found: string
  /** What to do; only where something is to be done. */
  readonly advice?: string
}

export function ok(check: string, found: string): Finding {
  return { check, status: 'ok', found }
}

export function warn(check: string, found: string, advice: string): Finding {
  return { check, status: 'warn', found, advice }
}

export function fail(check: string, found: string, advice: string): Finding {
  return { check, status: 'fail', found, advice }
}

/** What went wrong, in one line. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
