// What lies beyond this machine: DNS, what we and others publish there, Redis.
import { createRedisCache } from '../../cache/redis.ts'
import { formatServer } from '../../dns/servers.ts'
import { HishoError } from '../../errors.ts'
import { decide } from '../../protection/decision.ts'
import { isOwed } from '../../protection/domain-rule.ts'
import type { DomainTable } from '../../protection/domain-table.ts'
import type { SharedSettings } from '../../services/settings.ts'
import { SCHEME_KINDS } from '../../services/schemes.ts'
import type { VaultContents } from '../../vault/contents.ts'
import type { Context } from '../context.ts'
import {
  compareWithVault,
  fetchPublished,
  judge,
  publishedFacts,
  type PublishedRecords,
} from '../published.ts'
import { sentence } from '../rotate.ts'
import { QUEUE_DAYS, rotationStep } from '../rotation.ts'
import { activeEntries, entriesOf } from '../../vault/contents.ts'
import { fail, ok, reasonOf, warn, type Finding } from './finding.ts'

export async function checkDns(context: Context, domain: string): Promise<Finding> {
  const { servers } = context.settings().dns
  const names = servers
    .map((server) => `${formatServer(server)}${server.trusted ? ' (DNSSEC believed)' : ''}`)
    .join(', ')
  try {
    await context.services('without-table').directory.publishedRecords(domain)
    return ok('dns', `${names} answers`)
  } catch (error) {
    return fail('dns', `${names}: ${reasonOf(error)}`, 'mend it, or name others in hisho.ini [dns]')
  }
}

/** A local domain: DNS must say what the vault says. `contents` is undefined while the vault is not open. */
export async function checkPublished(
  context: Context,
  domain: string,
  contents: VaultContents | undefined,
): Promise<Finding[]> {
  const check = `record of ${domain}`
  const advice = `hisho params show ${domain}`
  try {
    const published = await fetchPublished(context.services('without-table'), domain)
    const { records } = published
    const verdict = judge(records, context.clock)
    if (!contents)
      return [warn(check, `published: ${verdict.status}`, 'not compared: the vault is not open')]
    const differences = (['bf', 'cc', 'bb2'] as const).flatMap((scheme) =>
      compareWithVault(records, entriesOf(contents, domain, scheme), context.clock, scheme),
    )
    if (differences.length > 0)
      return [
        ...differences.map(({ severity, text }) =>
          severity === 'fail' ? fail(check, text, advice) : warn(check, text, advice),
        ),
        ...checkRotation(context, contents, domain, published),
      ]
    if (activeEntries(contents, domain, 'bf').length === 0) {
      const found = 'no master key, and nothing published: it receives nothing encrypted'
      return [warn(check, found, `hisho kgc new --domain ${domain}`)]
    }
    return [
      ok(check, `n=${activeEntries(contents, domain, 'bf')[0]?.n} as in the vault`),
      ...checkRotation(context, contents, domain, published),
    ]
  } catch (error) {
    return [fail(check, reasonOf(error), 'see dns')]
  }
}

/** Where the domain stands between two generations, if it does. */
function checkRotation(
  context: Context,
  contents: VaultContents,
  domain: string,
  published: PublishedRecords,
): Finding[] {
  const facts = {
    ...publishedFacts(published),
    queueDays: QUEUE_DAYS,
    nowMs: context.clock.nowMs(),
  }
  return (['bf', 'cc', 'bb2'] as const).flatMap((scheme) => {
    const step = rotationStep({ ...facts, active: activeEntries(contents, domain, scheme) })
    // That the newest is not published, the record's own check says.
    if (['none', 'steady', 'publish'].includes(step.step)) return []
    const text = sentence(domain, step)
    const check = `rotation of ${domain}`
    return step.step === 'wait' || step.step === 'drain'
      ? [ok(check, text)]
      : [warn(check, text, `hisho kgc rotate --domain ${domain}`)]
  })
}

/** Domains for which the table requires encryption: mail for them must be able to go. */
export async function checkRequired(context: Context, table: DomainTable): Promise<Finding[]> {
  const { schemes, normalizeAddress } = context.services('without-table')
  const named = table.rules.filter((rule) => isOwed(rule) && !rule.pattern.startsWith('*'))
  return Promise.all(
    named.map(async ({ pattern, schemes: schemesOf }) => {
      const check = `required: ${pattern}`
      try {
        const options = { table, schemes, normalizeAddress, log: context.log }
        const { kind, reason } = await decide(pattern, undefined, options)
        return kind === 'hold'
          ? warn(check, reason, `mail for it is kept: hisho held list, hisho lookup ${pattern}`)
          : ok(check, reason)
      } catch (error) {
        const changed = error instanceof HishoError && error.code === 'keys/untrusted'
        const advice = changed
          ? `ask its operators for their fingerprints; hisho params accept ${pattern}`
          : schemesOf.includes('ibe')
            ? `hisho params check ${pattern}`
            : `hisho keys list, and ${pattern} in hisho.yaml`
        return fail(check, reasonOf(error), `no mail can go there; ${advice}`)
      }
    }),
  )
}

/** What the schemes say about their keys in the table. */
export function checkSchemes(table: DomainTable): Finding[] {
  return table.rules.flatMap(({ pattern, settings }) =>
    SCHEME_KINDS.flatMap((kind) => {
      const found = kind.warningFor?.(settings)
      const advice = `another one for ${pattern} in hisho.yaml, as soon as the other side can`
      return found === undefined ? [] : [warn(`${kind.name}: ${pattern}`, found, advice)]
    }),
  )
}

const PROBE_SECONDS = 10

export async function checkRedis(context: Context, settings: SharedSettings): Promise<Finding> {
  if (!settings.redis) return ok('redis', 'not used')
  const cache = createRedisCache({ ...settings.redis, clock: context.clock })
  const key = `doctor/${process.pid}`
  try {
    await cache.set(key, 'well', PROBE_SECONDS)
    const value = await cache.get(key)
    await cache.delete(key)
    return value === 'well'
      ? ok('redis', 'stores and gives back')
      : fail('redis', 'it gives back something else', 'see what else writes under this key_prefix')
  } catch (error) {
    const advice = 'mend it: until then each process has its own memory'
    return fail('redis', reasonOf(error), advice)
  } finally {
    await cache.close()
  }
}
