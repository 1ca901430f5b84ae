// A process whose clock is wrong, or stands at another time.
import { join } from 'node:path'

/** For the environment of a process that Node runs. */
export function clockEnvironment(offsetMs: number): Record<string, string> {
  return {
    NODE_OPTIONS: `--require ${join(__dirname, 'clock-offset.js')}`,
    CLOCK_OFFSET_MS: String(offsetMs),
  }
}
