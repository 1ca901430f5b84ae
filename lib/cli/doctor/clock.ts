// A sanity check of the clock without a network: periods of identities hang on it. It finds a clock that is years off, not
// one that is minutes off.
import { statSync } from 'node:fs'
import type { VaultContents } from '../../vault/contents.ts'
import type { Context } from '../context.ts'
import { fail, ok, type Finding } from './finding.ts'

const LATEST = Date.UTC(2100, 0, 1)
const TOLERANCE_MS = 60_000

/** `files` and the keys in the vault cannot be from the future. */
export function checkClock(
  context: Context,
  files: readonly string[],
  contents: VaultContents | undefined,
): Finding {
  const now = context.clock.nowMs()
  const times = files.map((file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0)
  const created = [...(contents?.values() ?? [])].flatMap((site) =>
    site.ibe.map((entry) => Date.parse(entry.created) || 0),
  )
  const newest = Math.max(0, ...times, ...created)
  const text = new Date(now).toISOString()
  const advice = 'set the clock; run chrony or systemd-timesyncd'
  if (now > LATEST) return fail('clock', `${text} is far in the future`, advice)
  if (newest > now + TOLERANCE_MS)
    return fail(
      'clock',
      `${text}, but there are files or keys of ${new Date(newest).toISOString()}`,
      advice,
    )
  return ok('clock', `${text} (later than all our files)`)
}
