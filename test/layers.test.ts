// The rules of direction: who may import whom, who may import what, and which standards the code says it follows.
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, sep } from 'node:path'
import { describe, it } from 'node:test'

const root = join(__dirname, '..', '..')

/** From below. A folder may import from those of the layers under its own. */
const LAYERS: readonly (readonly string[])[] = [
  ['errors.ts', 'clock.ts'],
  ['crypto', 'disk', 'http', 'dns', 'cache', 'mail', 'metrics', 'x509', 'yaml'],
  [
    'age',
    'container',
    'dane',
    'ibe',
    'key-directory',
    'mta-sts',
    'openpgp',
    'shared-key',
    'smime',
    'tlsrpt',
    'vault',
  ],
  ['delivery', 'protection'],
  ['services'],
  ['haraka', 'cli'],
]

/** Sideways, by exception. */
const ALLOWED = new Set([
  'age -> container',
  'cache -> disk',
  'dns -> http',
  'http -> x509',
  'ibe -> container',
  'key-directory -> dane',
  'shared-key -> container',
  'vault -> container',
])

const PLUGINS_MAY_IMPORT = new Set(['haraka', 'services'])

/** Each npm package is imported in one folder. */
const PACKAGES: Readonly<Record<string, string>> = {
  '@haraka/email-address': 'mail',
  '@noble/post-quantum/ml-kem.js': 'container',
  '@scure/base': 'container',
  asn1js: 'smime',
  commander: 'cli',
  'dns-packet': 'dns',
  'haraka-config': 'cli',
  'mcl-wasm': 'crypto',
  openpgp: 'openpgp',
  pkijs: 'smime',
  'prom-client': 'metrics',
  redis: 'cache',
  yaml: 'yaml',
}

const MAX_LINES = 300
const MAX_PLUGIN_LINES = 60

interface SourceFile {
  /** From the root of the repository, with `/`. */
  readonly path: string
  readonly text: string
  readonly imports: readonly string[]
}

function sources(folder: string, endings: readonly string[] = ['.ts']): SourceFile[] {
  return readdirSync(join(root, folder), { recursive: true })
    .map(String)
    .filter((file) => endings.some((ending) => file.endsWith(ending)) && !file.endsWith('.d.ts'))
    .map((file) => `${folder}/${file.split(sep).join('/')}`)
    .sort()
    .map((path) => {
      const text = readFileSync(join(root, path), 'utf8')
      return { path, text, imports: importsOf(text) }
    })
}

function importsOf(text: string): string[] {
  const patterns = [
    /^(?:import|export)\b[^'"]*?\bfrom\s*['"]([^'"]+)['"]/gm,
    /^import\s*['"]([^'"]+)['"]/gm,
    /\b(?:import|require)\(\s*['"]([^'"]+)['"]\s*\)/g,
  ]
  return patterns.flatMap((pattern) => [...text.matchAll(pattern)].map(([, name]) => name ?? ''))
}

const LIB = sources('lib')
const PLUGINS = sources('plugins')

/** `ibe` of `lib/ibe/jobs.ts`, `errors.ts` of `lib/errors.ts`; undefined outside lib. */
function folderOf(path: string): string | undefined {
  const [top, name] = path.split('/')
  return top === 'lib' ? name : undefined
}

function target(file: SourceFile, specifier: string): string {
  return normalize(join(dirname(file.path), specifier))
    .split(sep)
    .join('/')
}

function layerOf(folder: string): number {
  return LAYERS.findIndex((layer) => layer.includes(folder))
}

/** Lines and comments of code that say nothing to the machine are taken away; strings stay. */
function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[^]*?\*\//g, '').replaceAll(/(^|[^:'"`])\/\/.*$/gm, '$1')
}

function assertNone(problems: readonly string[]): void {
  assert.deepEqual(problems, [], `\n${problems.join('\n')}\n`)
}

describe('the layers', () => {
  it('every file of lib belongs to one', () => {
    assertNone(
      LIB.filter(({ path }) => layerOf(folderOf(path) ?? '') === -1).map(({ path }) => path),
    )
    for (const folder of LAYERS.flat()) assert.ok(existsSync(join(root, 'lib', folder)), folder)
  })

  it('every import is found', () => {
    for (const file of [...LIB, ...PLUGINS]) {
      for (const name of file.imports.filter((specifier) => specifier.startsWith('.')))
        assert.ok(existsSync(join(root, target(file, name))), `${file.path}: ${name}`)
    }
    assert.ok(LIB.flatMap(({ imports }) => imports).length > 300)
  })

  it('nothing imports upward, and nothing sideways but what may', () => {
    const problems = LIB.flatMap((file) => {
      const own = folderOf(file.path) ?? ''
      return file.imports
        .filter((name) => name.startsWith('.'))
        .filter((name) => {
          const other = folderOf(target(file, name))
          if (other === undefined) return true
          return (
            other !== own && !ALLOWED.has(`${own} -> ${other}`) && layerOf(other) >= layerOf(own)
          )
        })
        .map((name) => `${file.path} imports ${target(file, name)}`)
    })
    assertNone(problems)
  })

  it('plugins import the adapter and settings, and nothing deeper', () => {
    assertNone(
      PLUGINS.flatMap((file) =>
        file.imports
          .filter(
            (name) =>
              !name.startsWith('.') || !PLUGINS_MAY_IMPORT.has(folderOf(target(file, name)) ?? ''),
          )
          .map((name) => `${file.path} imports ${name}`),
      ),
    )
  })

  it('an npm package is imported in one folder, and in the one that we know', () => {
    const problems = LIB.flatMap((file) =>
      file.imports
        .filter((name) => !name.startsWith('.') && !name.startsWith('node:'))
        .filter((name) => PACKAGES[name] !== folderOf(file.path))
        .map((name) => `${file.path} imports ${name}`),
    )
    assertNone(problems)
  })

  it('package.json has those packages and no others', () => {
    const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>
    }
    const packages = Object.keys(PACKAGES).map((name) => name.replace(/\/[^/]*\.js$/, ''))
    assert.deepEqual(Object.keys(dependencies).sort(), packages.sort())
  })
})

describe('the adapter', () => {
  // A TCP connection and `next()` of an iterator are nobody's secret; what follows is Haraka's.
  const HARAKAS =
    /\bDENY(?:SOFT|DISCONNECT)?\b|\btransaction\b|\bhmail\b|\bharaka_require\b|\bregister_hook\b|(?<!\.)\bnext\((?:CONT|OK|DENY|DELAY|STOP)|\bconnection\.(?:transaction|relaying|notes|results|remote|local)\b/

  it('is the only one that has heard of Haraka’s objects and answers', () => {
    assertNone(
      LIB.filter(({ path }) => !path.startsWith('lib/haraka/')).flatMap(({ path, text }) => {
        const found = HARAKAS.exec(withoutComments(text))
        return found ? [`${path} says ${found[0]}`] : []
      }),
    )
  })

  it('is thin at its outside: a plugin has hooks and no logic', () => {
    const indexes = PLUGINS.filter(({ path }) => path.endsWith('/index.ts'))
    assert.equal(indexes.length, 13)
    assertNone(
      indexes
        .filter(({ text }) => text.trimEnd().split('\n').length > MAX_PLUGIN_LINES)
        .map(({ path }) => `${path} has more than ${MAX_PLUGIN_LINES} lines`),
    )
  })
})

describe('a file of lib', () => {
  it('has one noun, in not too many lines', () => {
    assertNone(
      LIB.filter(({ text }) => text.trimEnd().split('\n').length > MAX_LINES).map(
        ({ path }) => `${path} has more than ${MAX_LINES} lines`,
      ),
    )
  })

  it('says in its first line what it is', () => {
    assertNone(
      LIB.filter(({ text }) => !text.startsWith('// ') && !text.startsWith('#!')).map(
        ({ path }) => path,
      ),
    )
  })

  it('exports by name', () => {
    assertNone(LIB.filter(({ text }) => /^export default\b/m.test(text)).map(({ path }) => path))
  })
})

describe('docs/rfc-coverage.md', () => {
  /** `RFC 5322`, and `RFC 7671, 7672` and `RFC 1034 and 1035`. */
  const NAMED = /\bRFC (\d{3,5})((?:(?:, | and | or )\d{4,5}\b)*)/g

  /** RFC number to the folders (or files) of lib and plugins that name it. */
  function named(): Map<number, Set<string>> {
    const found = new Map<number, Set<string>>()
    for (const { path, text } of [...LIB, ...PLUGINS]) {
      const place = path.split('/').slice(0, 2).join('/')
      for (const [, first, more = ''] of text.matchAll(NAMED)) {
        for (const number of [first, ...(more.match(/\d{4,5}/g) ?? [])])
          found.set(Number(number), (found.get(Number(number)) ?? new Set()).add(place))
      }
    }
    return found
  }

  const page = readFileSync(join(root, 'docs', 'rfc-coverage.md'), 'utf8')
  const rows = new Map(
    [...page.matchAll(/^\| (\d{3,5}) +\| (\S.*?) +\| (\S.*?) +\|$/gm)].map(
      ([, number, title, places]) => [
        Number(number),
        { title, places: new Set((places ?? '').split(', ')) },
      ],
    ),
  )

  it('lists every RFC that the code names, with a title and where', () => {
    const problems = [...named()].flatMap(([number, places]) => {
      const row = rows.get(number)
      if (!row) return [`RFC ${number} is missing; it is named in ${[...places].sort().join(', ')}`]
      return [...places]
        .filter((place) => !row.places.has(place))
        .map((place) => `RFC ${number} is named in ${place} too`)
    })
    assertNone(problems)
  })

  it('lists nothing that the code does not name', () => {
    const code = named()
    const problems = [...rows].flatMap(([number, { places }]) =>
      [...places]
        .filter((place) => !code.get(number)?.has(place))
        .map((place) => `RFC ${number} is not named in ${place}`),
    )
    assertNone(problems)
  })

  it('is in the order of numbers', () => {
    const numbers = [...rows.keys()]
    assert.ok(numbers.length > 30)
    assert.deepEqual(
      numbers,
      numbers.toSorted((one, other) => one - other),
    )
  })
})

describe('the lines of RFC 8461, 7672, 8689 and 8460, and of a gateway that opens mail', () => {
  const rows = readFileSync(join(root, 'docs/rfc-coverage.md'), 'utf8').matchAll(
    /^\| ([SDQR]\d+|C\d+a?) +\|.*\| (.*?) +\|$/gm,
  )
  const where = new Map([...rows].map(([, label = '', shown = '']) => [label, shown]))
  const tests = sources('test', ['.ts', '.json']).flatMap(({ path, text }) =>
    [...text.matchAll(/['"`]((?:[SDQRC]\d{1,2}a?(?:,? (?=[SDQRC]\d))?)+)[: ]/g)].flatMap(
      ([, labels = '']) =>
        labels.split(/,? /).map((label) => ({ label, path: path.replace(/^test\//, '') })),
    ),
  )

  it('each stand there, with a test that begins with its label, or a sentence that says why not', () => {
    const all = [
      ...Array.from({ length: 40 }, (_, at) => `S${at + 1}`),
      ...Array.from({ length: 32 }, (_, at) => `D${at + 1}`),
      ...Array.from({ length: 4 }, (_, at) => `Q${at + 1}`),
      ...Array.from({ length: 33 }, (_, at) => `R${at + 1}`),
      ...Array.from({ length: 35 }, (_, at) => `C${at + 1}`),
      'C28a',
    ]
    assert.deepEqual([...where.keys()].toSorted(), all.toSorted())
    assertNone(
      all.filter((label) => {
        const shown = where.get(label) ?? ''
        const files = [...shown.matchAll(/`([^`]+)`/g)].map(([, file = '']) => file)
        if (files.length === 0) return !/^not: .{5}/.test(shown)
        return files.some((file) => !tests.some((one) => one.label === label && one.path === file))
      }),
    )
  })
})
