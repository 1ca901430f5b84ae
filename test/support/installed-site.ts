// A site as an operator makes it: `haraka -i`, the README's lines, and what `hisho init` then tells to do.
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ROOT, writeFiles } from './haraka.ts'
import { PASSWORD, USER } from './site.ts'

export interface Ran {
  readonly code: number | null
  readonly output: string
}

/** For `skip`: false when npm can install from its registry. In CI a registry that is not there is a failure. */
export const registryMissing: string | false = (() => {
  const args = ['view', 'mcl-wasm', 'version', '--fetch-retries=0', '--fetch-timeout=10000']
  if (spawnSync('npm', args, { stdio: 'ignore' }).status === 0) return false
  const message = 'needs the npm registry, to install what the package depends on'
  if (process.env['CI'] === 'true') throw new Error(message)
  return message
})()

/** As in the operator's shell: nothing of an npm that runs these tests reaches it. */
export function shell(line: string, cwd: string): Promise<Ran> {
  const kept = /^npm_config_(?:registry|cache|userconfig|globalconfig)$/i
  const inherited = Object.entries(process.env).filter(
    ([name]) =>
      kept.test(name) || !/^(?:npm_|INIT_CWD$|HARAKA$|HISHO_|NODE_TEST_CONTEXT$)/i.test(name),
  )
  const env = {
    ...Object.fromEntries(inherited),
    npm_config_prefer_offline: 'true',
    npm_config_audit: 'false',
    npm_config_fund: 'false',
    npm_config_omit: 'dev',
    npm_config_update_notifier: 'false',
  }
  const child = spawn('sh', ['-c', line], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (piece: Buffer) => {
      output += piece.toString('utf8')
    })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, output }))
  })
}

/** The commands in the README's section: lines of code that a shell takes, in order. */
export function readmeCommands(section: string): string[] {
  const text = readFileSync(join(ROOT, 'README.md'), 'utf8')
  const [, body = ''] = text.split(`\n## ${section}\n`)
  const [own = ''] = body.split('\n## ')
  return own
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => /^(?:npm|npx) /.test(line))
}

/** A fresh Haraka directory, and Haraka itself elsewhere on the disk. */
export async function installHaraka(): Promise<string> {
  const directory = join(mkdtempSync(join(tmpdir(), 'hisho-installed-')), 'haraka')
  const program = join(ROOT, 'node_modules', 'haraka', 'bin', 'haraka')
  const { code, output } = await shell(`"${process.execPath}" "${program}" -i "${directory}"`, ROOT)
  if (code !== 0) throw new Error(`haraka -i: ${output}`)
  return directory
}

export interface OperatorSettings {
  readonly domain: string
  readonly mailbox: number
  readonly routes: Readonly<Record<string, number>>
}

/** What an operator sets without hisho too: names, ways, who may submit. Look-ups in the real DNS are left out. */
export function setUpHaraka(
  directory: string,
  { domain, mailbox, routes }: OperatorSettings,
): void {
  const plugins = readFileSync(join(directory, 'config', 'plugins'), 'utf8')
  const ways = Object.entries(routes).map(
    ([name, port]) => `[${name}]\nhost=127.0.0.1\nport=${port}\n`,
  )
  writeFiles(directory, {
    'config/me': `mx.${domain}\n`,
    'config/host_list': `${domain}\n`,
    'config/plugins': plugins.replace(/^mail_from\.is_resolvable$/m, 'auth/flat_file'),
    'config/auth_flat_file.ini': `[core]\nmethods=PLAIN\nconstrain_sender=false\n[users]\n${USER}=${PASSWORD}\n`,
    'config/smtp_forward.ini': `host=127.0.0.1\nport=${mailbox}\nenable_outbound=false\n${ways.join('')}`,
  })
}

/** Does what `hisho init` has printed: lines into config/plugins, values into connection.ini. Gives what it did. */
export function followInit(directory: string, output: string): string[] {
  const done: string[] = []
  const edit = (name: string, change: (text: string) => string): void => {
    const file = join(directory, name)
    const before = readFileSync(file, 'utf8')
    const after = change(before)
    if (after === before) throw new Error(`${name} is not as init supposes:\n${before}`)
    writeFileSync(file, after)
  }
  for (const [said, file, line, before] of output.matchAll(
    /^ {2}(config\/plugins): add the line (\S+) (?:before (\S+)|at the end)$/gm,
  )) {
    edit(file!, (text) =>
      before === undefined
        ? `${text}\n${line}\n`
        : text.replace(new RegExp(`^${before}$`, 'm'), `${line}\n${before}`),
    )
    done.push(said.trim())
  }
  for (const [said, file, key, value, section] of output.matchAll(
    /^ {2}(config\/\S+\.ini): set (\w+)=(\S+) in \[(\w+)\]/gm,
  )) {
    edit(file!, (text) =>
      new RegExp(`^${key}=`, 'm').test(text)
        ? text.replace(new RegExp(`^${key}=.*$`, 'm'), `${key}=${value}`)
        : text.replace(`[${section}]`, `[${section}]\n${key}=${value}`),
    )
    done.push(said.trim())
  }
  return done
}

export interface PrintedRecords {
  readonly name: string
  readonly texts: readonly string[]
}

/** The TXT records that `hisho init` has printed as lines of a zone: their name, and the strings of each joined. */
export function printedRecords(output: string): PrintedRecords {
  const matches = [...output.matchAll(/^ *(\S+)\. \d+ IN TXT (".*")$/gm)]
  const [first] = matches
  if (!first) throw new Error(`no zone line in:\n${output}`)
  const texts = matches.map(([, , quoted]) => {
    const strings = [...quoted!.matchAll(/"((?:[^"\\]|\\.)*)"/g)]
    return strings.map(([, string]) => string!.replaceAll(/\\(.)/g, '$1')).join('')
  })
  return { name: first[1]!, texts }
}
