// What a fresh clone needs before anything runs: the locked dependencies. Does nothing when they are there already.
import { spawnSync } from 'node:child_process'
import { existsSync, statSync, utimesSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
// Not `npm ci`: it wants every platform's optional binaries in the lock file, and not every registry has them all.
const ARGUMENTS = ['install', '--no-save', '--no-fund', '--no-audit', '--loglevel=error']
const installed = join(root, 'node_modules', '.package-lock.json')
const lock = join(root, 'package-lock.json')
if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) {
  console.error('hisho: installing dependencies (once)')
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  const { status } = spawnSync(npm, ARGUMENTS, {
    cwd: root,
    stdio: 'inherit',
  })
  if (status !== 0) process.exit(status ?? 1)
  utimesSync(installed, new Date(), new Date())
}
