// Other people's programs that we check ourselves against.
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/**
 * For `skip`: false when the program is there, else what to install. In CI a missing peer is a failure. `folders` are
 * looked in beside PATH, which for a normal user lacks those of servers.
 */
export function peer(
  name: string,
  debianPackage: string,
  folders: readonly string[] = [],
): string | false {
  const all = [...(process.env['PATH'] ?? '').split(delimiter), ...folders]
  if (all.some((folder) => isExecutable(join(folder, name)))) return false
  const message = `needs ${name}: apt install ${debianPackage}`
  if (process.env['CI'] === 'true') throw new Error(message)
  return message
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
