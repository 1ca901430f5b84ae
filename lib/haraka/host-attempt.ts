// One connection to one planned host: what was required of it, how it ended, and that it is reported once.
import { USAGE } from '../dane/usable.ts'
import type { Attempt, FloorOutcome } from '../delivery/attempt.ts'
import type { Judgement } from '../delivery/judge.ts'
import type { Order, PlannedHost } from '../delivery/order.ts'
import type { Delivery } from '../services/delivery.ts'
import type { DialogueOptions, Ending } from './dialogue.ts'
import type { DoneHandshake, TlsWishes, Watch } from './watched-socket.ts'

/** Why a host did not get the mail; for the sender too. */
export interface Failure {
  readonly host: string
  readonly reason: string
  /** Whether it is a promise that was not kept, and no mere trouble with the line. */
  readonly isPolicy: boolean
}

export interface HostAttemptOptions {
  readonly delivery: Pick<Delivery, 'judge' | 'report' | 'settings'>
  readonly order: Order
  readonly planned: PlannedHost
  readonly receivingIp: string
  readonly sendingIp: string | undefined
  readonly nowMs: () => number
  /** TLS with this host has failed before, and it is not needed. */
  readonly isWithoutTls: boolean
  readonly clientCertificate: TlsWishes['clientCertificate']
  readonly contextFor: TlsWishes['contextFor']
  /** Once more with this host, without TLS. */
  againWithoutTls(): void
  failed(failure: Failure): void
}

export function createHostAttempt(options: HostAttemptOptions): Watch {
  const { delivery, planned, order, isWithoutTls } = options
  const { kind } = planned.requirement
  let helo: string | undefined
  let judgement: Judgement | undefined
  let isReported = false

  const report = (outcome: Attempt['outcome']): void => {
    if (isReported) return
    isReported = true
    delivery.report({
      atMs: options.nowMs(),
      domain: order.domain,
      planned,
      receivingIp: options.receivingIp,
      sendingIp: options.sendingIp,
      helo,
      outcome,
      floor: floorOutcome(order, outcome),
      isTlsReport: order.isTlsReport === true,
    })
  }
  const failed = (reason: string, isPolicy: boolean): void =>
    options.failed({ host: planned.host, reason, isPolicy })

  const judgeFailure = (ending: Extract<Ending, { cause: 'tls' }>): Judgement => {
    const { resultType, reason } = ending
    return delivery.judge(planned, { status: 'failed', resultType, reason })
  }

  return {
    dialogue: dialogueFor(planned, isWithoutTls),
    tls: {
      servername: planned.servername,
      ca: delivery.settings.ca,
      // RFC 8461 section 7.2, RFC 7672 section 8.1 with RFC 8996.
      minVersion: kind === 'opportunistic' ? undefined : 'TLSv1.2',
      clientCertificate: options.clientCertificate,
      chain: needsChain(planned) ? 'all' : 'own',
      contextFor: options.contextFor,
    },
    greeted: (name) => {
      helo = name
    },
    judge: (handshake: DoneHandshake) => {
      judgement = delivery.judge(planned, handshake)
      return judgement.verdict === 'deliver' ? undefined : judgement.reason
    },
    opened: () => {
      if (judgement) report({ status: 'judged', judgement })
    },
    clear: (lacks) => {
      if (lacks === undefined || isWithoutTls) {
        const reason = isWithoutTls
          ? 'TLS has failed before'
          : kind === 'none'
            ? 'TLS is switched off for this domain'
            : 'TLS is switched off for this host in tls.ini, or its failure is remembered there'
        return report({ status: 'clear', reason })
      }
      judgement = judgeFailure({
        cause: 'tls',
        resultType: 'starttls-not-supported',
        reason: lacks,
      })
      report({ status: 'judged', judgement })
    },
    ended: (ending) => {
      if (ending.cause === 'tls') {
        judgement = judgeFailure(ending)
        if (judgement.verdict === 'without-tls') options.againWithoutTls()
        else failed(ending.reason, true)
        return report({ status: 'judged', judgement })
      }
      failed(ending.reason, judgement !== undefined)
      // Judged bad, or judged good and then of no use, such as without REQUIRETLS.
      if (!judgement) return report({ status: 'unreached', reason: ending.reason })
      report({
        status: 'judged',
        judgement: { ...judgement, verdict: 'next-host', reason: ending.reason },
      })
    },
    released: () => {
      const reason = 'the connection was given up'
      failed(reason, false)
      report({ status: 'unreached', reason })
    },
  }
}

/** OpenSSL has looked at the chain for the Web PKI; only trust anchors of DANE are our own business. */
function needsChain({ evidence: { dane } }: PlannedHost): boolean {
  return dane.status === 'usable' && dane.usable.some(({ usage }) => usage === USAGE.daneTa)
}

function dialogueFor(
  { requirement, requireTls }: PlannedHost,
  isWithoutTls: boolean,
): DialogueOptions {
  const { kind } = requirement
  if (kind === 'none') return { tls: 'hidden', requireTls: false }
  if (kind === 'opportunistic')
    return { tls: isWithoutTls ? 'hidden' : 'wanted', requireTls: false }
  return { tls: 'needed', requireTls }
}

function floorOutcome(
  { floor, contentIsEncrypted }: Order,
  outcome: Attempt['outcome'],
): FloorOutcome {
  if (floor === 'none') return 'none'
  const isSafe =
    outcome.status === 'judged' &&
    outcome.judgement.verdict === 'deliver' &&
    outcome.judgement.authenticated
  if (floor !== 'content' && isSafe) return 'met by transport'
  return floor !== 'transport' && contentIsEncrypted ? 'met by content' : 'not met'
}
