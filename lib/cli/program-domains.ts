// The words of `hisho domains`.
import type { Command } from 'commander'
import { FLOORS, TRANSPORTS } from '../mail/transport.ts'
import {
  ENCRYPT_MODES,
  ON_LOOKUP_FAILURE,
  ON_NO_KEY,
  REPLY_PLAIN,
  SIGNATURE_ACTIONS,
  UNPROVEN,
} from '../protection/domain-rule.ts'
import { EXEMPTIONS } from '../protection/exemption.ts'
import type { Said } from '../protection/rule-line.ts'
import { checkDomains, listDomains, removeDomain, setDomain } from './domains.ts'
import {
  asExemptions,
  asLineKeys,
  asList,
  asTrustSources,
  collectSettings,
  word,
} from './options.ts'
import type { Run } from './program.ts'

interface Json {
  readonly json?: boolean
}

interface RuleOptions extends Said {
  readonly set?: Readonly<Record<string, unknown>>
  readonly unset?: readonly string[]
}

export function addDomains(program: Command, run: Run): void {
  const domains = program.command('domains').description('the table of domains, hisho.yaml')
  domains
    .command('list')
    .description('each line, with what it takes from less specific ones')
    .option('--json', 'for scripts')
    .action(async ({ json = false }: Json) => {
      await run((context) => listDomains(context, { json }))
    })
  addSet(domains, run)
  domains
    .command('remove')
    .argument('<domain>', 'as in the table')
    .action(async (domain: string) => {
      await run((context) => removeDomain(context, domain))
    })
  domains
    .command('check')
    .description('whether the table is good, or what mail to an address would get right now')
    .argument('[address]', 'an address or a domain')
    .option('--json', 'for scripts')
    .action(async (target: string | undefined, { json = false }: Json) => {
      await run((context) => checkDomains(context, target, { json }))
    })
}

function addSet(domains: Command, run: Run): void {
  const choice = <T extends string>(known: readonly T[]) => [known.join(', '), word(known)] as const
  domains
    .command('set')
    .description('what is owed to a domain or an address; comments in the file stay')
    .argument('<domain>', 'a domain, *.domain, * or an address')
    .option('--encrypt <mode>', ...choice(ENCRYPT_MODES))
    .option('--schemes <names>', 'separated by commas, the preferred one first', asList)
    .option(
      '--set <key=value>',
      'a key of a scheme, such as suite=aes-256-gcm; may be given again',
      collectSettings,
    )
    .option('--on-lookup-failure <what>', ...choice(ON_LOOKUP_FAILURE))
    .option('--on-no-key <what>', ...choice(ON_NO_KEY))
    .option('--reply-plain <what>', ...choice(REPLY_PLAIN))
    .option('--exempt <kinds>', `of ${EXEMPTIONS.join(', ')}; '' for none`, asExemptions)
    .option('--params-trust <sources>', 'of dnssec, doh, well_known, continuity', asTrustSources)
    .option('--missing-signature <what>', ...choice(SIGNATURE_ACTIONS))
    .option('--failed-signature <what>', ...choice(SIGNATURE_ACTIONS))
    .option('--unproven <what>', ...choice(UNPROVEN))
    .option('--transport <what>', ...choice(TRANSPORTS))
    .option('--floor <what>', ...choice(FLOORS))
    .option(
      '--unset <keys>',
      'of this line, separated by commas: what less specific lines say holds again',
      asLineKeys,
    )
    .action(async (domain: string, options: RuleOptions) => {
      await run((context) => setDomain(context, domain, changeOf(options)))
    })
}

/** In the order in which they come to stand in a new line. */
function changeOf({ schemes, set: settings, unset = [], ...options }: RuleOptions) {
  return {
    ...Object.fromEntries(unset.map((key) => [key, undefined])),
    ...given({ encrypt: options.encrypt }),
    ...(schemes && { schemes, scheme: undefined }),
    ...settings,
    ...given({
      on_lookup_failure: options.onLookupFailure,
      on_no_key: options.onNoKey,
      reply_plain: options.replyPlain,
      exempt: options.exempt,
      params_trust: options.paramsTrust,
      missing_signature: options.missingSignature,
      failed_signature: options.failedSignature,
      unproven: options.unproven,
      transport: options.transport,
      floor: options.floor,
    }),
  }
}

/** What stands in a change as `undefined` would be taken away. */
function given(named: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined))
}
