// The Haraka program that runs a directory, as far as one can tell from outside, and whether it finds this package.
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { KNOWN_HARAKA } from '../../services/haraka-rules.ts'
import { packageRoot, type HarakaDirectory } from '../haraka-directory.ts'
import { fail, ok, warn, type Finding } from './finding.ts'

const NAMES = ['haraka', 'Haraka']
const OUR_NAME = 'haraka-plugin-hisho'

export interface HarakaPackage {
  readonly path: string
  readonly version: string
}

/** `given`, else in the directory, else beside this package, else where npm puts global packages. */
export function findHaraka(
  haraka: HarakaDirectory,
  given: string | undefined,
): HarakaPackage | undefined {
  if (given !== undefined) return readPackage(resolve(given))
  const folders = [
    join(haraka.path, 'node_modules'),
    dirname(packageRoot),
    resolve(process.execPath, '..', '..', 'lib', 'node_modules'),
    '/usr/lib/node_modules',
    '/usr/local/lib/node_modules',
  ]
  const paths = folders.flatMap((folder) => NAMES.map((name) => join(folder, name)))
  return paths.map(readPackage).find((found) => found !== undefined)
}

function readPackage(path: string): HarakaPackage | undefined {
  const version = versionIn(path)
  return version === undefined ? undefined : { path, version }
}

function versionIn(path: string): string | undefined {
  try {
    const manifest: unknown = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8'))
    return typeof manifest === 'object' && manifest && 'version' in manifest
      ? String(manifest.version)
      : undefined
  } catch {
    return undefined
  }
}

export function checkVersion(found: HarakaPackage | undefined): Finding {
  if (!found) {
    const advice = 'say where it is with --haraka-package PATH'
    return warn('haraka', 'Haraka was not found', advice)
  }
  const text = `${found.version} in ${found.path}`
  return KNOWN_HARAKA.test(found.version)
    ? ok('haraka', text)
    : fail('haraka', text, 'hisho starts in Haraka 3.3.x only')
}

/** Haraka looks in the directory's node_modules and beside itself, and nowhere else. */
export function checkPackage(haraka: HarakaDirectory, found: HarakaPackage | undefined): Finding {
  const folders = [
    join(haraka.path, 'node_modules'),
    ...(found ? [dirname(found.path), join(found.path, 'node_modules')] : []),
  ]
  const path = folders
    .map((folder) => join(folder, OUR_NAME))
    .find((candidate) => existsSync(join(candidate, 'encrypt', 'package.json')))
  if (path === undefined) {
    const advice = `npm install ${OUR_NAME} in ${haraka.path}`
    return warn('package', `no ${OUR_NAME} where Haraka looks for it`, advice)
  }
  const [installed, own] = [versionIn(path), versionIn(packageRoot)]
  return installed === own
    ? ok('package', `${installed} in ${path}`)
    : warn('package', `${installed} in ${path}`, `this command is of version ${own}`)
}
