// The seam between Haraka's outbound delivery and what lib/delivery decides. Haraka's own objects are changed, because no hook
// can refuse a host, and a hook that fails lets the mail through. Nothing here throws or rejects into Haraka.
import { domainToASCII } from 'node:url'
import { systemClock } from '../clock.ts'
import type { Order, Plan } from '../delivery/order.ts'
import { HishoError, TempError } from '../errors.ts'
import type { Services } from '../services/services.ts'
import { DENY, DENYSOFT, OK, type Plugin } from './api.ts'
import { deliveryNoteOf } from './delivery-note.ts'
import { describe } from './hook.ts'
import { createHostAttempt } from './host-attempt.ts'
import { covers, markOf } from './mark.ts'
import {
  againWithoutTls,
  demandWebPki,
  hopsOf,
  markOfMx,
  mxListOf,
  routeOf,
  type Mark,
  type Round,
} from './next-hops.ts'
import {
  clientCertificate,
  deliveryInside,
  type DeliveryInside,
  type Mx,
  type OutboundSocket,
  type QueuedMail,
} from './outbound.ts'
import { defer, explainFailures, refuse, statusOf } from './queued-mail.ts'
import { createContexts, type ContextFor } from './tls-contexts.ts'
import { watchSocket, type Watch } from './watched-socket.ts'

/** For DNS, and for a policy host that takes its minute. */
const PLAN_MS = 90_000

/** What Haraka says when no host is left. */
const ALL_TRIED = 'Tried all MXs'

const SEAM = Symbol.for('hisho.seam')

interface Seam {
  readonly plugin: Plugin
  readonly services: Services
  readonly inside: DeliveryInside
  readonly rounds: WeakMap<QueuedMail, Round>
}

/** Once a process, whichever plugin comes first: true for that one. */
export function installSeam(plugin: Plugin, services: Services): boolean {
  const inside = deliveryInside(plugin)
  if (SEAM in inside.hmailPrototype) return false
  Object.defineProperty(inside.hmailPrototype, SEAM, { value: true })
  const seam: Seam = { plugin, services, inside, rounds: new WeakMap() }
  planNextHops(seam)
  forceTls(seam)
  watchConnections(seam)
  nameReasons(seam)
  return true
}

function planNextHops({ plugin, services, inside, rounds }: Seam): void {
  const { hmailPrototype, HarakaMx } = inside
  const original = hmailPrototype.get_mx_respond

  const respond = async (hmail: QueuedMail, code: number, answer: unknown): Promise<unknown> => {
    const { todo } = hmail
    const isRouted = code === OK
    const hops = isRouted ? hopsOf(answer, HarakaMx) : []
    const route = routeOf(hops)
    // What goes to our own users goes where the operator says.
    const isUntouched = isRouted && (!route || services.table.current().isLocal(todo?.domain ?? ''))
    if (!todo || code === DENY || code === DENYSOFT || isUntouched) {
      rounds.delete(hmail)
      return original.call(hmail, code, answer)
    }
    const order = orderOf(services, todo, route)
    const round: Round = { hmail, order, failures: [] }
    rounds.set(hmail, round)
    const plan = await withinDeadline((signal) => services.delivery.plan(order, signal))
    if (plan.status === 'refuse') return refuse(hmail, plan)
    for (const { host, reason, resultType } of plan.skipped) {
      plugin.logwarn(`delivery to ${order.domain}: ${host} is not used: ${reason}`)
      round.failures.push({ host, reason, isPolicy: resultType !== undefined })
    }
    if (plan.status === 'defer') return defer(hmail, deferralStatus(plan, round), plan.reason)
    return original.call(hmail, OK, mxListOf(round, plan.hosts, hops, HarakaMx))
  }

  hmailPrototype.get_mx_respond = async function (code, answer): Promise<void> {
    try {
      await respond(this, code, answer)
    } catch (error) {
      deferAfter(plugin, this, error)
    }
  }
}

function orderOf(
  { delivery }: Services,
  { domain, rcpt_to: recipients, notes }: NonNullable<QueuedMail['todo']>,
  route: Order['route'],
): Order {
  const mark = markOf(notes)
  return delivery.orderFor(domainToASCII(domain) || domain.toLowerCase(), {
    route,
    contentIsEncrypted:
      mark?.protected === true && recipients.every(({ address }) => covers(mark, address)),
    ...deliveryNoteOf(notes),
  })
}

function deferralStatus(
  { skipped }: Extract<Plan, { status: 'defer' }>,
  { order, failures }: Round,
): string {
  // Without any host it is the floor that holds the mail back.
  return statusOf(order, skipped.length === 0 ? [{ isPolicy: true }] : failures)
}

/** Whatever could not be found out: the mail waits. */
function deferAfter(plugin: Plugin, hmail: QueuedMail, error: unknown): void {
  try {
    const known = error instanceof HishoError
    plugin[known ? 'logwarn' : 'logcrit'](
      `delivery to ${hmail.todo?.domain}: ${known || !(error instanceof Error) ? describe(error) : error.stack}`,
    )
    const status = error instanceof TempError ? error.status : '4.3.0'
    const reason = known ? error.message : 'this server failed'
    defer(hmail, status, `${hmail.todo?.domain}: ${reason}`)
  } catch (failure) {
    plugin.logcrit(`a mail could not be deferred and waits for a restart: ${describe(failure)}`)
  }
}

async function withinDeadline<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController()
  const late = new TempError('haraka/deadline', `no decision within ${PLAN_MS / 1000} s`)
  let timer: NodeJS.Timeout | undefined
  try {
    return await Promise.race([
      work(controller.signal),
      new Promise<never>((_, reject) => {
        timer = setTimeout(() => {
          reject(late)
          controller.abort(late)
        }, PLAN_MS)
      }),
    ])
  } finally {
    clearTimeout(timer)
  }
}

/** Fails closed: an MX that was not planned, of a mail that was, gets TLS or nothing. */
function forceTls({ inside: { hmailPrototype }, rounds }: Seam): void {
  const original = hmailPrototype.get_force_tls
  hmailPrototype.get_force_tls = function (mx): boolean {
    if (!rounds.has(this)) return original.call(this, mx)
    const mark = markOfMx(mx)
    if (!mark || !this.todo) return true
    if (original.call(this, mx)) demandWebPki(mx, mark)
    const { kind } = (markOfMx(mx) ?? mark).planned.requirement
    return kind !== 'none' && kind !== 'opportunistic'
  }
}

function watchConnections({ plugin, services, inside }: Seam): void {
  const { clientPool } = inside
  const contextFor = createContexts()
  const original = clientPool.get_client
  clientPool.get_client = (mx, done): void => {
    const mark = markOfMx(mx)
    if (!mark) return original.call(clientPool, mx, done)
    const attempt = (socket: OutboundSocket | null): Watch =>
      attemptFor({ services, inside, contextFor }, mx, mark, socket)
    original.call(clientPool, mx, (error, socket) => {
      if (!socket) {
        attempt(null).ended({ cause: 'server', reason: error ?? 'no connection' })
        return done(error, socket)
      }
      try {
        watchSocket(socket, attempt(socket))
      } catch (failure) {
        plugin.logcrit(`a connection cannot be watched, and is not used: ${describe(failure)}`)
        socket.removeAllListeners()
        socket.destroy()
        return done('it could not be watched', null)
      }
      done(null, socket)
    })
  }
}

function attemptFor(
  { services, inside, contextFor }: Pick<Seam, 'services' | 'inside'> & { contextFor: ContextFor },
  mx: Mx,
  mark: Mark,
  socket: OutboundSocket | null,
): Watch {
  const { planned, round, isWithoutTls } = mark
  const receivingIp = mx.exchange ?? ''
  return createHostAttempt({
    delivery: services.delivery,
    order: round.order,
    planned,
    receivingIp,
    sendingIp: socket?.targetsocket.localAddress,
    nowMs: () => systemClock.nowMs(),
    isWithoutTls,
    contextFor,
    clientCertificate: clientCertificate(inside.tlsSocket, receivingIp),
    againWithoutTls: () => againWithoutTls(mx, mark),
    failed: (failure) => round.failures.push(failure),
  })
}

/** Which host failed for which reason, in place of "Tried all MXs". */
function nameReasons({ inside: { hmailPrototype }, rounds }: Seam): void {
  const original = hmailPrototype.temp_fail
  hmailPrototype.temp_fail = function (reason, extra): unknown {
    const round = reason === ALL_TRIED ? rounds.get(this) : undefined
    return original.call(this, (round && explainFailures(round)) ?? reason, extra)
  }
}
