// Each time that Haraka takes a mail up: to which hosts it may go now, or why it waits. RFC 5321 section 5.1, RFC 8461 section 5.
import { domainToASCII } from 'node:url'
import type { Order, Plan } from '../delivery/order.ts'
import { HishoError, TempError } from '../errors.ts'
import type { Services } from '../services/services.ts'
import { DENY, DENYSOFT, OK, type Plugin } from './api.ts'
import { deliveryNoteOf } from './delivery-note.ts'
import { describe } from './hook.ts'
import { covers, markOf } from './mark.ts'
import { hopsOf, mxListOf, routeOf, type Round } from './next-hops.ts'
import type { DeliveryInside, QueuedMail } from './outbound.ts'
import { defer, refuse, statusOf } from './queued-mail.ts'

export interface Seam {
  readonly plugin: Plugin
  readonly services: Services
  readonly inside: DeliveryInside
  readonly rounds: WeakMap<QueuedMail, Round>
}

/** For DNS, and for a policy host that takes its minute. */
const PLAN_MS = 90_000

/** Whatever answers where a mail goes, it goes where our own plan says; the mail of our own users excepted. */
export function planNextHops({ plugin, services, inside, rounds }: Seam): void {
  const { hmailPrototype, HarakaMx } = inside
  const original = hmailPrototype.get_mx_respond

  const respond = async (hmail: QueuedMail, code: number, answer: unknown): Promise<unknown> => {
    const { todo } = hmail
    const isRouted = code === OK
    const hops = isRouted ? hopsOf(answer, HarakaMx) : []
    const route = routeOf(hops)
    const passOn = (): unknown => {
      rounds.delete(hmail)
      return original.call(hmail, code, answer)
    }
    if (!todo || code === DENY || code === DENYSOFT) return passOn()
    // What goes to our own users goes where the operator says.
    if (isRouted && services.table.current().isLocal(todo.domain)) return passOn()
    const order = orderOf(services, todo, route)
    if (isRouted && !route) {
      if (!needsProof(order)) return passOn()
      const reason = 'its configured route (LMTP, or a socket) is none that proves its name by TLS'
      return defer(hmail, '4.7.5', `${order.domain}: ${reason}`)
    }
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

/** What no route can have that was not planned. */
function needsProof({ floor, contentIsEncrypted, requireTls }: Order): boolean {
  return requireTls || floor === 'transport' || (floor !== 'none' && !contentIsEncrypted)
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
