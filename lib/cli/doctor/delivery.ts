// The way of mail to other servers: whether somebody keeps what the table says of it, and what we promise ourselves.
import { HishoError } from '../../errors.ts'
import { parseRecords } from '../../mta-sts/record.ts'
import type { DomainTable } from '../../protection/domain-table.ts'
import { createHostedPolicies } from '../../services/hosted-policies.ts'
import type { Context } from '../context.ts'
import { openDelivery } from '../delivery-session.ts'
import type { HarakaDirectory } from '../haraka-directory.ts'
import { fail, ok, reasonOf, warn, type Finding } from './finding.ts'

const KEEPERS = ['hisho/mta_sts', 'hisho/dane'] as const

/** Of an empty table: nothing. */
export async function checkDelivery(
  context: Context,
  table: DomainTable,
): Promise<readonly Finding[]> {
  const haraka = context.haraka()
  const loaded = KEEPERS.filter((name) => listed(haraka).includes(name))
  return [
    ...checkKeepers(haraka, table, loaded),
    ...(loaded.includes('hisho/dane') ? [await checkDnssec(context)] : []),
    ...(await Promise.all(
      [...table.policies.keys()].map((domain) => checkOwnPolicy(context, table, domain)),
    )),
  ]
}

function listed(haraka: HarakaDirectory): readonly string[] {
  return haraka.list('plugins').map((line) => line.replace(/^haraka-plugin-/, ''))
}

function checkKeepers(
  haraka: HarakaDirectory,
  table: DomainTable,
  loaded: readonly string[],
): Finding[] {
  const wanting = table.rules.filter(
    ({ transport, floor }) => transport !== 'policy' || floor === 'transport' || floor === 'either',
  )
  if (loaded.length === 0)
    return wanting.map(({ pattern, floor, transport }) =>
      floor === 'transport' || floor === 'either'
        ? fail(
            'outbound tls',
            `the floor of ${pattern} is ${floor}: mail to it is held back, for nobody keeps it`,
            'hisho/mta_sts or hisho/dane into config/plugins',
          )
        : warn(
            'outbound tls',
            `transport: ${transport} of ${pattern} is without effect`,
            'hisho/mta_sts or hisho/dane into config/plugins',
          ),
    )
  const enabled = haraka.ownIni('outbound.ini', ['+main.enable_tls'])['main']?.['enable_tls']
  return enabled === false
    ? [fail('outbound tls', 'outbound.ini enable_tls=false: hisho does not start', 'take it out')]
    : [ok('outbound tls', loaded.join(', '))]
}

async function checkDnssec(context: Context): Promise<Finding> {
  try {
    const support = await openDelivery(context).delivery.dnssecSupport()
    if (support === 'validates') return ok('dnssec', 'the resolver validates: DANE is on')
    return fail(
      'dnssec',
      support === 'untrusted'
        ? 'a resolver that is not on this machine is not believed: DANE is off'
        : 'the resolver does not validate DNSSEC: DANE is off',
      'unbound on this machine, and [dns] servers=127.0.0.1 in hisho.ini (docs/dane.md)',
    )
  } catch (error) {
    return fail('dnssec', reasonOf(error), 'mend it, or name others in hisho.ini [dns]')
  }
}

/** What is served, against what is in DNS. */
async function checkOwnPolicy(
  context: Context,
  table: DomainTable,
  domain: string,
): Promise<Finding> {
  const check = `policy of ${domain}`
  const advice = `hisho mta-sts show ${domain}`
  try {
    const { resolver, store } = context.services('without-table')
    const { clock, log } = context
    const settings = context.settings().delivery
    const file = { current: () => table }
    const policies = createHostedPolicies({ table: file, resolver, store, settings, clock, log })
    const served = await policies.served(domain)
    if (served?.isHeldBack)
      return warn(check, 'testing is served in place of enforce', `hisho mta-sts check ${domain}`)
    const answer = await resolver.resolve(`_mta-sts.${domain}`, 'TXT')
    const record = parseRecords(answer.status === 'found' ? answer.records : [])
    if (record.status === 'none')
      return warn(check, `_mta-sts.${domain}: ${record.reason}: nobody looks for it`, advice)
    return record.id === served?.id
      ? ok(check, `${served.policy.mode}, id ${record.id}`)
      : fail(check, `DNS has the id ${record.id}, what is served is ${served?.id}`, advice)
  } catch (error) {
    if (!(error instanceof HishoError)) throw error
    return fail(check, reasonOf(error), advice)
  }
}
