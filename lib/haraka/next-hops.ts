// Next hops in Haraka's terms: what a plugin answered to get_mx as a route, and planned hosts as a list for Haraka.
import { isIP } from 'node:net'
import type { Order, PlannedHost } from '../delivery/order.ts'
import type { DeliveryInside, Mx, QueuedMail } from './outbound.ts'
import type { Failure } from './host-attempt.ts'

/** What was decided for a mail in this round of attempts, and what has come of it so far. */
export interface Round {
  readonly hmail: QueuedMail
  readonly order: Order
  readonly failures: Failure[]
}

export interface Mark {
  readonly round: Round
  readonly planned: PlannedHost
  /** TLS with this host has failed in this round, and it is not needed. */
  readonly isWithoutTls: boolean
}

/** Under a symbol: Haraka copies it with the rest, and neither its log nor JSON sees it. */
const MARK = Symbol('hisho.planned')

interface MarkedMx extends Mx {
  [MARK]?: Mark
}

type MxClass = DeliveryInside['HarakaMx']

/** undefined: nothing that was planned here. */
export function markOfMx(mx: Mx): Mark | undefined {
  const { [MARK]: mark }: MarkedMx = mx
  return mark
}

function setMarkOfMx(mx: Mx, mark: Mark): void {
  const marked: MarkedMx = mx
  marked[MARK] = mark
}

/** What a plugin gave: one or several; Haraka takes texts, objects and its own class. */
export function hopsOf(answer: unknown, HarakaMx: MxClass): readonly Mx[] {
  const given: readonly unknown[] = Array.isArray(answer) ? answer : [answer]
  return given.map((one) => new HarakaMx(one))
}

/** undefined: no way over SMTP that can be planned, such as LMTP or a socket in the file system. */
export function routeOf(hops: readonly Mx[]): Order['route'] | undefined {
  const route = hops.flatMap(({ exchange, port, path, using_lmtp: isLmtp }) =>
    exchange && !path && !isLmtp ? [{ host: exchange, port: portOf(port) }] : [],
  )
  return route.length === hops.length && route.length > 0 ? route : undefined
}

/** One for each address, in order. `hops`: what the operator said of them beside (bind, auth_user, ...) stays. */
export function mxListOf(
  round: Round,
  hosts: readonly PlannedHost[],
  hops: readonly Mx[],
  HarakaMx: MxClass,
): readonly Mx[] {
  return hosts.flatMap((planned) => {
    const hop = hops.find(
      ({ exchange, port }) =>
        exchange?.toLowerCase() === planned.host && portOf(port) === planned.port,
    )
    // By `from_dns` Haraka refuses hosts that turn out to be on the loopback; a route by address may be.
    const fromDns = isIP(planned.host) === 0 ? planned.host : hop ? undefined : round.order.domain
    return planned.addresses.map((address) => {
      const mx = new HarakaMx({
        ...hop,
        exchange: address,
        port: planned.port,
        priority: planned.preference,
        ...(fromDns !== undefined && { from_dns: fromDns }),
      })
      setMarkOfMx(mx, { round, planned, isWithoutTls: false })
      return mx
    })
  })
}

/** The same host once more, before all others that are left. */
export function againWithoutTls(mx: Mx, mark: Mark): void {
  const again = { ...mx }
  setMarkOfMx(again, { ...mark, isWithoutTls: true })
  mark.round.hmail.mxlist.unshift(again)
}

/** tls.ini force_tls_hosts: the operator wants TLS and a certificate by the Web PKI, whatever the domain promises. */
export function demandWebPki(mx: Mx, { round, planned, isWithoutTls }: Mark): void {
  const { kind } = planned.requirement
  if (kind !== 'none' && kind !== 'opportunistic' && kind !== 'encrypted') return
  const requirement = { kind: 'webpki', name: { kind: 'host', name: planned.host } } as const
  setMarkOfMx(mx, { round, planned: { ...planned, requirement }, isWithoutTls })
}

function portOf(port: Mx['port']): number {
  return Number(port ?? 25)
}
