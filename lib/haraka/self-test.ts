// At start: is this a Haraka, and a configuration, in which the two promises hold? If not it does not start, and says why.
// The rules that `hisho doctor` uses too are in lib/services/haraka-rules.ts.
import { PermError } from '../errors.ts'
import { KNOWN_HARAKA, LEAST_DATA_LINE_LENGTH, orderProblems } from '../services/haraka-rules.ts'
import { CONT, DENY, DENYSOFT, OK, type HookEntry, type Plugin, type PluginsModule } from './api.ts'
import { deliveryInside, outboundOf } from './outbound.ts'

/** PermError haraka/settings with every reason why this Haraka must not start with hisho. For `register`. */
export function checkHaraka(plugin: Plugin): void {
  const problems = [
    ...versionProblems(plugin),
    ...insideProblems(plugin),
    ...connectionProblems(plugin),
    ...orderProblems(plugin.config.get('plugins', 'list') as string[]),
  ]
  if (problems.length > 0)
    throw new PermError('haraka/settings', `hisho does not start: ${problems.join('; ')}`)
  if (plugin.timeout === 0)
    plugin.logwarn(`${plugin.name}.timeout is 0: hisho answers after 30 seconds all the same`)
}

/** As checkHaraka, for what decides on the TLS of mail that leaves. */
export function checkDelivery(plugin: Plugin): void {
  const inside = deliveryInside(plugin)
  const problems = [
    ...versionProblems(plugin),
    ...missing([
      [inside.clientPool, ['get_client']],
      [inside.hmailPrototype, ['get_mx_respond', 'get_force_tls', 'temp_fail', 'bounce']],
      [inside, ['HarakaMx']],
      [inside.tlsSocket, ['connect']],
    ]),
    ...(inside.enablesTls() ? [] : ['outbound.ini enable_tls=false: without TLS no promise holds']),
  ]
  if (problems.length > 0)
    throw new PermError('haraka/settings', `hisho does not start: ${problems.join('; ')}`)
}

function missing(used: readonly (readonly [object, readonly string[]])[]): string[] {
  return used.flatMap(([owner, names]) =>
    names
      .filter((name) => typeof (owner as Record<string, unknown>)[name] !== 'function')
      .map((name) => `${name} is missing in this Haraka`),
  )
}

function versionProblems(plugin: Plugin): string[] {
  const { version } = plugin.haraka_require('package.json') as { readonly version: string }
  return KNOWN_HARAKA.test(version)
    ? []
    : [`Haraka ${version} is not one it was tried with (3.3.x)`]
}

function connectionProblems(plugin: Plugin): string[] {
  const { cfg } = plugin.haraka_require('connection') as {
    readonly cfg: { readonly max: { readonly data_line_length: number } }
  }
  const length = cfg.max.data_line_length
  return length >= LEAST_DATA_LINE_LENGTH
    ? []
    : [
        `connection.ini [max] data_line_length=${length} breaks lines of legal length: set it to ${LEAST_DATA_LINE_LENGTH} or more (hisho init proposes 1000000)`,
      ]
}

/** The parts of Haraka that are not documented and that we lean on. */
function insideProblems(plugin: Plugin): string[] {
  const { outbound, queueDirectory } = outboundOf(plugin)
  const constants = globalThis as unknown as Record<string, unknown>
  const plugins = plugin.haraka_require('plugins') as PluginsModule
  const problems = missing([
    [outbound, ['send_trans_email', 'process_delivery', 'build_todo', 'HMailItem']],
    [outbound.qfile, ['name']],
    [outbound.delivery_queue, ['push']],
    [plugins, ['load_plugin']],
  ])
  if (typeof queueDirectory !== 'string') problems.push('the queue directory is not where it was')
  for (const [name, value] of Object.entries({ CONT, DENY, DENYSOFT, OK })) {
    if (constants[name] !== value) problems.push(`${name} is not ${value}`)
  }
  return problems
}

/** Once all plugins are there: the gates stand where nothing can pass them. Problems in words. */
export function hookProblems(hooks: PluginsModule['registered_hooks']): string[] {
  const isLoaded = (plugin: string): boolean =>
    Object.values(hooks).some((entries) => entries?.some((entry) => entry.plugin === plugin))
  const queues = ['queue', 'queue_outbound']
  return [
    ...['hisho/decrypt', 'hisho/verify', 'hisho/sign']
      .filter(isLoaded)
      .flatMap((name) =>
        queues.flatMap((hook) => firstProblem(hook, hooks[hook] ?? [], `${name}_gate`)),
      ),
    ...queues.flatMap((hook) => behindProblem(hook, hooks[hook] ?? [])),
    ...(isLoaded('hisho/encrypt')
      ? firstProblem('get_mx', hooks['get_mx'] ?? [], 'hisho/encrypt_gate')
      : []),
  ]
}

const isHisho = (entry: HookEntry): boolean => entry.plugin.startsWith('hisho/')

/** Nothing foreign may answer a hook before our gate does. */
function firstProblem(hook: string, entries: readonly HookEntry[], gate: string): string[] {
  const at = entries.findIndex((entry) => entry.plugin === gate)
  if (at === -1) return [`${gate} is missing on ${hook}`]
  const before = entries.slice(0, at).filter((entry) => !isHisho(entry))
  const names = before.map((entry) => entry.plugin).join(', ')
  return before.length === 0
    ? []
    : [
        `${names} comes before ${gate} on ${hook}: its priority must be higher than ${entries[at]?.priority}`,
      ]
}

function behindProblem(hook: string, entries: readonly HookEntry[]): string[] {
  const encrypt = entries.findIndex((entry) => entry.plugin === 'hisho/encrypt')
  if (encrypt === -1) return []
  const gate = entries.findIndex((entry) => entry.plugin === 'hisho/encrypt_gate')
  if (gate === -1) return [`hisho/encrypt_gate is missing on ${hook}`]
  const before = entries.slice(0, gate).filter((entry) => !isHisho(entry))
  return before.length === 0
    ? []
    : [
        `${before.map((entry) => entry.plugin).join(', ')} comes before hisho/encrypt_gate on ${hook} and could take mail in clear`,
      ]
}
