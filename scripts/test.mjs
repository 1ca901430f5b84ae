// Runs every compiled test, or those whose path holds one of the words given: `npm test -- lib/dns`.
// Three files at a time, of which one as a rule waits: each may start servers of its own.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const words = process.argv.slice(2)
const files = readdirSync(join(root, 'dist', 'test'), { recursive: true })
  .map(String)
  .filter((file) => file.endsWith('.test.js'))
  .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
  .map((file) => join('dist', 'test', file))
  .sort()
// With none, node would run whatever looks like a test.
if (files.length === 0) {
  console.error(`no test file's path holds ${words.join(' or ')}`)
  process.exit(1)
}
const { status } = spawnSync(
  process.execPath,
  ['--test', '--test-reporter=spec', '--test-concurrency=3', ...files],
  { cwd: root, stdio: 'inherit' },
)
process.exit(status ?? 1)
