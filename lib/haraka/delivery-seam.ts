// The seam between Haraka's outbound delivery and what lib/delivery decides. Haraka's own objects are changed, because no hook
// can refuse a host, and a hook that fails lets the mail through. Nothing here throws or rejects into Haraka.
import { systemClock } from '../clock.ts'
import type { Services } from '../services/services.ts'
import type { Plugin } from './api.ts'
import { planNextHops, type Seam } from './delivery-rounds.ts'
import { describe } from './hook.ts'
import { createHostAttempt } from './host-attempt.ts'
import { againWithoutTls, demandWebPki, markOfMx, type Mark } from './next-hops.ts'
import { clientCertificate, deliveryInside, type Mx, type OutboundSocket } from './outbound.ts'
import { explainFailures } from './queued-mail.ts'
import { createContexts, type ContextFor } from './tls-contexts.ts'
import { watchSocket, type Watch } from './watched-socket.ts'

/** What Haraka says when no host is left. */
const ALL_TRIED = 'Tried all MXs'

const SEAM = Symbol.for('hisho.seam')

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
