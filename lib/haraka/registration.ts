// What every plugin of ours does at start: its services and, where it touches mail, the self-test and its gate.
import cluster from 'node:cluster'
import { CONT, DENY, type Next, type Plugin, type PluginsModule } from './api.ts'
import { installSeam } from './delivery-seam.ts'
import { servicesOf } from './process.ts'
import { keepRequireTlsInBounces } from './requiretls.ts'
import { checkDelivery, checkHaraka, hookProblems } from './self-test.ts'

/** Priorities on queue and queue_outbound, in order. Signers such as dkim stand at 0. */
export const PRIORITY = {
  /** On data_post, where all others stand at 0. */
  tagSubject: 80,
  decryptGate: -70,
  verifyGate: -69,
  takeReport: -65,
  decryptSplit: -60,
  sign: -55,
  signGate: -54,
  encrypt: -50,
  encryptGate: -49,
  noteWishes: -60,
  getMxGate: -100,
  /** data_post, behind decrypt and whoever verifies signatures: they stand at 0. */
  receiveReport: 10,
  /** init_http: Haraka's own 404 follows as soon as the first hook gives up control. */
  http: -100,
} as const

/** Throws, and so keeps Haraka from starting, where a promise would not hold. `gate` is loaded with the plugin. */
export function registerWithGate(plugin: Plugin, gate: string): void {
  checkHaraka(plugin)
  warnOfTimeouts(plugin, servicesOf(plugin).lookupMs)
  const plugins = plugin.haraka_require('plugins') as PluginsModule
  // A plugin of its own, so that `skip_plugins` with our name does not switch the gate off too.
  if (!plugins.registered_plugins[gate]) plugins.load_plugin(gate)
  plugin.register_hook('init_master', 'check_hooks')
  plugin.register_hook('init_child', 'check_hooks')
  registerWithoutGate(plugin)
}

/** For a plugin that touches no mail. Throws, and so keeps Haraka from starting, on bad settings. */
export function registerWithoutGate(plugin: Plugin): void {
  const services = servicesOf(plugin)
  // The master process only starts workers; without `nodes` there is no other process than this.
  if (cluster.isWorker) services.warm()
}

/** For a plugin that decides on the TLS of mail that leaves; its methods are those of delivery-hooks.ts. */
export function registerForDelivery(plugin: Plugin): void {
  checkDelivery(plugin)
  registerWithoutGate(plugin)
  // Two plugins share one seam, and what goes with it: an offer must not stand twice in the answer to EHLO.
  if (!installSeam(plugin, servicesOf(plugin))) return
  keepRequireTlsInBounces(plugin)
  plugin.register_hook('init_master', 'start_delivery')
  plugin.register_hook('init_child', 'start_delivery')
  plugin.register_hook('capabilities', 'offer_requiretls')
  plugin.register_hook('mail', 'take_requiretls')
  plugin.register_hook('pre_send_trans_email', 'note_wishes', PRIORITY.noteWishes)
}

/** Nothing is lost or in clear for it, but mail would be deferred without need. */
function warnOfTimeouts(plugin: Plugin, lookupMs: number): void {
  const seconds = plugin.timeout - 1
  if (plugin.timeout !== 0 && lookupMs >= seconds * 1000)
    plugin.logwarn(
      `a DNS look-up may take ${lookupMs / 1000} s (hisho.ini [dns]) and ${plugin.name} has ${seconds} s: mail is deferred when DNS is slow`,
    )
}

/** init_master and init_child: all plugins have registered by now. */
export function check_hooks(this: Plugin, next: Next): void {
  const { registered_hooks } = this.haraka_require('plugins') as PluginsModule
  const problems = hookProblems(registered_hooks)
  if (problems.length === 0) return next(CONT)
  this.logcrit(`hisho does not start: ${problems.join('; ')}`)
  next(DENY, problems.join('; '))
}
