// Mail that waits for a key: somebody should know of what waits long.
import { existsSync, statSync } from 'node:fs'
import { createHeldStore } from '../../protection/held/store.ts'
import type { SharedSettings } from '../../services/settings.ts'
import type { Context } from '../context.ts'
import { ok, warn, type Finding } from './finding.ts'

const DAY_MS = 86_400_000

export async function checkHeld(
  { clock, log }: Context,
  { held: { directory, days } }: SharedSettings,
): Promise<Finding> {
  if (!existsSync(directory)) return ok('held mail', 'none')
  if ((statSync(directory).mode & 0o077) !== 0)
    return warn('held mail', `${directory}: others may read it`, `chmod 0700 ${directory}`)
  const all = await createHeldStore({ directory, clock, log }).list()
  const old = all.filter(({ since }) => clock.nowMs() - Date.parse(since) > DAY_MS)
  const oldest = old[0]
  if (!oldest) return ok('held mail', all.length === 0 ? 'none' : `${all.length}, of today`)
  const found = `${old.length} for more than a day, the first since ${oldest.since} (${oldest.reason})`
  return warn('held mail', found, `hisho held list; after ${days} days it is returned`)
}
