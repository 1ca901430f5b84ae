// `hisho tls check`: what a domain promises about TLS, and whether its servers keep it: RFC 8461, RFC 7672, in the words of
// RFC 8460. Each is asked for real; no mail is sent.
import { X509Certificate } from 'node:crypto'
import type { Handshake, Judgement } from '../delivery/judge.ts'
import type { Order, Plan, PlannedHost } from '../delivery/order.ts'
import type { DnssecSupport } from '../dns/probe.ts'
import { HishoError } from '../errors.ts'
import type { StsOutcome } from '../mta-sts/outcome.ts'
import type { Delivery } from '../services/delivery.ts'
import type { Context } from './context.ts'
import { openDelivery } from './delivery-session.ts'
import { EXIT, type ExitCode } from './exit-code.ts'
import { lookAt, type Seen } from './server-probe.ts'
import { printTlsReport } from './tls-view.ts'

export interface TlsReport {
  readonly domain: string
  readonly order: Pick<Order, 'transport' | 'floor'>
  /** What our resolver is worth. */
  readonly dnssec: DnssecSupport | 'unanswered'
  readonly sts: StsOutcome
  readonly plan: Plan
  /** In the order in which mail would go to them. */
  readonly hosts: readonly HostReport[]
}

export interface HostReport {
  readonly planned: PlannedHost
  readonly seen: Seen | undefined
  /** undefined: nobody answered. */
  readonly judgement: Judgement | undefined
  readonly certificates: readonly CertificateReport[]
}

export interface CertificateReport {
  readonly subject: string
  readonly issuer: string
  readonly names: string
  readonly validFrom: string
  readonly validTo: string
}

/** 0 all is as promised; 1 a server is not, or speaks no TLS; 69 there is none; 75 mail would wait. */
export async function checkTls(
  context: Context,
  domain: string,
  { json }: { readonly json: boolean },
): Promise<ExitCode> {
  const report = await examine(context, domain)
  if (json) context.terminal.json(describe(report))
  else printTlsReport(context.terminal, report)
  return exitOf(report)
}

async function examine(context: Context, domain: string): Promise<TlsReport> {
  const { terminal } = context
  const { delivery } = openDelivery(context)
  terminal.progress(`looking up ${domain}…`)
  const facts = { route: undefined, requireTls: false, tlsRequiredNo: false }
  // As encrypted mail: otherwise a floor of `content` would end it before anything is seen.
  const order = delivery.orderFor(domain, { ...facts, contentIsEncrypted: true })
  const dnssec = await supportOf(delivery)
  const plan = await delivery.plan(order)
  const sts = (await delivery.policies()?.find(domain)) ?? { status: 'none', failure: undefined }
  const planned = plan.status === 'deliver' ? plan.hosts : []
  const hosts = await Promise.all(
    planned.map(async (one): Promise<HostReport> => {
      terminal.progress(`asking ${one.host}…`)
      const seen = await lookAt(context, one)
      if (seen?.outcome.status !== 'answered')
        return { planned: one, seen, judgement: undefined, certificates: [] }
      const { handshake } = seen.outcome
      const judgement = delivery.judge(one, handshake)
      return { planned: one, seen, judgement, certificates: certificatesOf(handshake) }
    }),
  )
  return { domain, order, dnssec, sts, plan, hosts }
}

async function supportOf(delivery: Delivery): Promise<TlsReport['dnssec']> {
  try {
    return (await delivery.dnssecSupport()) ?? 'unanswered'
  } catch (error) {
    if (error instanceof HishoError) return 'unanswered'
    throw error
  }
}

function certificatesOf(handshake: Handshake): readonly CertificateReport[] {
  if (handshake.status === 'failed') return []
  return handshake.chain.map((der) => {
    const { subject, issuer, subjectAltName = '', validFrom, validTo } = new X509Certificate(der)
    return {
      subject: oneLine(subject),
      issuer: oneLine(issuer),
      names: oneLine(subjectAltName),
      validFrom: new Date(validFrom).toISOString(),
      validTo: new Date(validTo).toISOString(),
    }
  })
}

/** Whatever a stranger wrote there, for a terminal. */
function oneLine(text: string | undefined): string {
  return (text ?? '').replaceAll('\n', ', ').replaceAll(/[^ -~]/g, '?')
}

function exitOf({ plan, hosts }: TlsReport): ExitCode {
  if (plan.status === 'refuse') return EXIT.unavailable
  if (plan.status === 'defer') return EXIT.tempFail
  const verdicts = hosts.map(({ judgement }) => judgement?.verdict)
  if (verdicts.every((verdict) => verdict === undefined || verdict === 'next-host'))
    return EXIT.tempFail
  const isWell = verdicts.every((verdict) => verdict === 'deliver') && plan.skipped.length === 0
  return isWell ? EXIT.ok : EXIT.failed
}

/** For scripts. */
function describe({ domain, order, dnssec, sts, plan, hosts }: TlsReport): object {
  return {
    domain,
    transport: order.transport,
    floor: order.floor,
    dnssec,
    policy:
      sts.status === 'found'
        ? { id: sts.id, ...sts.policy, failure: sts.failure ?? null }
        : { mode: null, failure: sts.failure ?? null },
    outcome: plan.status,
    ...(plan.status !== 'deliver' && { reason: plan.reason }),
    hosts: hosts.map(describeHost),
    skipped: (plan.status === 'refuse' ? [] : plan.skipped).map(({ host, resultType, reason }) => ({
      host,
      resultType: resultType ?? null,
      reason,
    })),
  }
}

function describeHost({ planned, seen, judgement, certificates }: HostReport): object {
  const { host, preference, addresses, port, requirement, evidence } = planned
  const answered = seen?.outcome.status === 'answered' ? seen.outcome : undefined
  return {
    host,
    preference,
    addresses,
    port,
    mxIsAuthentic: evidence.hostIsAuthentic,
    dane: evidence.dane.status,
    requirement: requirement.kind,
    address: seen?.address ?? null,
    unreached: seen?.outcome.status === 'unreached' ? seen.outcome.reason : null,
    protocol: answered?.session?.protocol ?? null,
    cipher: answered?.session?.cipher ?? null,
    requireTls: answered?.session?.offersRequireTls ?? false,
    certificates,
    chainError:
      (answered?.handshake.status === 'done' ? answered.handshake.chainError : undefined) ?? null,
    verdict: judgement?.verdict ?? null,
    authenticated: judgement?.authenticated ?? false,
    reason: judgement?.reason ?? null,
    results: judgement?.results ?? [],
  }
}
