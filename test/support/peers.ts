// Other people's programs that we check ourselves against.
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** For `skip`: false when the program is there, else what to install. In CI a missing peer is a failure. */
export function peer(name: string, debianPackage: string): string | false {
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  if (folders.some((folder) => isExecutable(join(folder, name)))) return false
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
