// Build step: a folder at the root for each plugin, because Haraka, told `hisho/encrypt`, looks for
// node_modules/haraka-plugin-hisho/encrypt/package.json and reads defaults from that folder's config/ only.
import { copyFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const defaults = readdirSync(join(root, 'config')).filter((file) => file.endsWith('.ini'))
const plugins = readdirSync(join(root, 'plugins'), { withFileTypes: true }).filter((entry) =>
  entry.isDirectory(),
)
for (const { name } of plugins) {
  const folder = join(root, name)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(join(folder, 'config'), { recursive: true })
  const manifest = {
    name: `haraka-plugin-hisho-${name}`,
    private: true,
    main: `../dist/plugins/${name}/index.js`,
  }
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  for (const file of defaults)
    copyFileSync(join(root, 'config', file), join(folder, 'config', file))
}
