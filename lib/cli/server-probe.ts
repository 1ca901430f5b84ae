// A mail server's TLS, looked at from here: the first of its addresses that answers.
import { hostname } from 'node:os'
import { probeServer, type ProbeOutcome } from '../delivery/probe.ts'
import type { Context } from './context.ts'

export interface Seen {
  readonly address: string
  readonly outcome: ProbeOutcome
}

export interface SeenHost {
  readonly addresses: readonly string[]
  readonly port: number
  readonly servername: string | undefined
}

/** For one address. */
const TIMEOUT_MS = 20_000

/** undefined: there is no address. */
export async function lookAt(
  context: Context,
  { addresses, port, servername }: SeenHost,
): Promise<Seen | undefined> {
  const { ca } = context.settings().delivery
  const helo = context.haraka().value('me') ?? hostname()
  let seen: Seen | undefined
  for (const address of addresses) {
    const target = { address, port, servername, helo, timeoutMs: TIMEOUT_MS }
    const outcome = await probeServer({ ...target, ...(ca !== undefined && { ca }) })
    seen = { address, outcome }
    if (outcome.status === 'answered') break
  }
  return seen
}
