// The hooks of the plugins that decide on the TLS of mail that leaves. The seam is not among them: it is no hook.
import cluster from 'node:cluster'
import { CONT, type Connection, type Next, type Plugin } from './api.ts'
import { GO_ON, hook } from './hook.ts'
import { servicesOf } from './process.ts'
import { noteWishes, offerRequireTls, takeRequireTls } from './requiretls.ts'

/** init_master and init_child. Runs in what delivers: the workers, or the only process when smtp.ini has nodes=0. */
export function start_delivery(
  this: Plugin,
  next: Next,
  server: { readonly cluster?: unknown },
): void {
  if (cluster.isWorker || !server.cluster) servicesOf(this).delivery.start()
  next(CONT)
}

const isOn = (plugin: Plugin): boolean => servicesOf(plugin).delivery.settings.requireTls

export const offer_requiretls = hook<Connection>(async (plugin, connection) =>
  offerRequireTls(connection, isOn(plugin)),
)

export const take_requiretls = hook<Connection>(async (plugin, connection, _deadline, parameters) =>
  takeRequireTls(connection, parameters, isOn(plugin)),
)

/** pre_send_trans_email */
export const note_wishes = hook<Connection>(async (_plugin, { transaction }) => {
  if (transaction) noteWishes(transaction)
  return GO_ON
})
