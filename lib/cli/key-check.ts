// `hisho keys check`: which of our own keys expire soon, and what to do.
import { WARN_DAYS, type Expiry } from '../services/key-expiry.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-code.ts'
import { formatTable } from './terminal.ts'
import { openVault } from './vault-session.ts'

/** Exit 1: one has expired, or will within a month. */
export async function checkKeys(
  context: Context,
  { json }: { readonly json: boolean },
): Promise<ExitCode> {
  const { keyExpiry } = context.services('without-table')
  const { contents } = await openVault(context)
  const all = await keyExpiry.of(contents)
  const soon = all.filter(({ daysLeft }) => daysLeft < WARN_DAYS)
  const { terminal } = context
  if (json) terminal.json(all)
  else if (all.length === 0) terminal.line('There is no key that expires.')
  else
    terminal.line(formatTable(['DOMAIN', 'KIND', 'USER', 'ID', 'EXPIRES', 'DAYS'], all.map(rowOf)))
  if (!json) for (const expiry of soon) terminal.note(adviceFor(expiry))
  return soon.length > 0 ? EXIT.failed : EXIT.ok
}

function rowOf({ domain, kind, user, id, expires, daysLeft }: Expiry): string[] {
  return [domain, kind, user, id, expires.slice(0, 10), String(daysLeft)]
}

function adviceFor({ kind, domain, user, id }: Expiry): string {
  const whose = user === '*' ? '' : ` --user ${user}`
  const renew = `hisho keys renew --${kind} ${domain}${whose} --id ${id}`
  return kind === 'openpgp'
    ? `${renew}, and give the others its public half again`
    : `The certificate ${id} of ${domain} needs a successor: hisho keys new --${kind} ${domain}${whose}`
}
