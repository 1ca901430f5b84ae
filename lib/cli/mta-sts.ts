// `hisho mta-sts`: the policies of our own domains.
import { PermError } from '../errors.ts'
import type { HostedPolicies, Served } from '../services/hosted-policies.ts'
import type { Context } from './context.ts'
import { openDelivery } from './delivery-session.ts'
import { EXIT, type ExitCode } from './exit-code.ts'
import { zoneText } from './zone-record.ts'

/** The TXT record to publish, and the file as hisho/well_known serves it. */
export async function showPolicy(
  context: Context,
  domain: string,
  { json }: { readonly json: boolean },
): Promise<void> {
  const { terminal } = context
  const { hostedPolicies } = openDelivery(context).services
  const served = await servedOf(hostedPolicies, domain)
  const { record, text, id, isHeldBack } = served
  const url = `https://mta-sts.${domain}/.well-known/mta-sts.txt`
  if (json) return terminal.json({ domain, id, record, url, policy: text, heldBack: isHeldBack })
  terminal.line(zoneText(`_mta-sts.${domain}`, record))
  terminal.line(`\n${url}\n`)
  terminal.line(text.replaceAll('\r\n', '\n').trimEnd())
  if (isHeldBack)
    terminal.note(
      `\nhisho.yaml says enforce; testing is served until \`hisho mta-sts check ${domain}\` finds nothing wrong.`,
    )
}

/** Exit 1 while something stands against the policy; without, `enforce` is accepted. */
export async function checkPolicy(
  context: Context,
  domain: string,
  { json }: { readonly json: boolean },
): Promise<ExitCode> {
  const { terminal } = context
  const { hostedPolicies } = openDelivery(context).services
  await servedOf(hostedPolicies, domain)
  const problems = await hostedPolicies.check(domain)
  if (json) terminal.json({ domain, problems })
  else if (problems.length === 0)
    terminal.line(terminal.paint('green', `${domain}: our MX hosts satisfy the policy`))
  else for (const problem of problems) terminal.line(terminal.paint('red', problem))
  return problems.length === 0 ? EXIT.ok : EXIT.failed
}

async function servedOf(policies: HostedPolicies, domain: string): Promise<Served> {
  const served = await policies.served(domain)
  if (served === undefined)
    throw new PermError('table/malformed', `hisho.yaml has no policy for ${domain} under mta_sts`)
  return served
}
