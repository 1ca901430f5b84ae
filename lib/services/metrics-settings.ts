// config/hisho.metrics.ini, checked.
import { BlockList } from 'node:net'
import { reader, type Ini } from './ini-reader.ts'
import { addNetwork } from './plugin-settings.ts'

export interface MetricsSettings {
  readonly enabled: boolean
  readonly path: string
  readonly allowed: BlockList
  readonly proxied: 'refused' | 'allowed'
}

export function parseMetricsSettings(ini: Ini): MetricsSettings {
  const read = reader('hisho.metrics.ini', ini)
  const path = read.text('main', 'path')
  if (!/^\/[\w./~-]*$/.test(path))
    throw read.error('main', 'path', 'must be a path such as /metrics')
  const allowed = new BlockList()
  for (const text of read.list('main', 'allow')) addNetwork(allowed, text, read, 'allow')
  return {
    enabled: read.boolean('main', 'enabled'),
    path,
    allowed,
    proxied: read.boolean('main', 'allow_proxied') ? 'allowed' : 'refused',
  }
}
