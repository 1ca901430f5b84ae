// A Haraka-like directory, a DNS server, and the command as a process of its own.
import { spawn } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { generateX25519Identity } from '../../lib/container/x25519.ts'
import { SecretBytes } from '../../lib/crypto/secret-bytes.ts'
import { readVault } from '../../lib/vault/vault.ts'
import { startDnsServer, type DnsServer } from '../support/dns-server.ts'

const MAIN = join(__dirname, '..', '..', 'lib', 'cli', 'main.js')

/** In place of a passphrase: the vault is sealed to this key, which costs no time. */
export const AGE_KEY = generateX25519Identity().identity

export interface Result {
  readonly code: number | null
  readonly stdout: Buffer
  readonly stderr: string
  /** stdout as text. */
  readonly text: string
}

export interface RunOptions {
  readonly input?: string | Uint8Array
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

/** What no process may print. */
const secrets = new Set<string>([AGE_KEY])

/** The master keys of a vault, in the forms in which they could slip out. */
export async function learnSecrets(file: string): Promise<void> {
  const contents = await readVault(file, new SecretBytes(Buffer.from(AGE_KEY)))
  const keys = [...contents.values()].flatMap(({ ibe, shared, smime, ca }) => [
    ...ibe.map(({ masterKey }) => masterKey),
    ...shared.map(({ key }) => key),
    ...[...smime, ...ca].map(({ secret }) => secret),
  ])
  for (const { age } of contents.values())
    for (const { identity } of age) secrets.add(Buffer.from(identity.bytes).toString('latin1'))
  for (const { bytes } of keys)
    for (const form of ['base64', 'base64url', 'hex'] as const)
      secrets.add(Buffer.from(bytes).toString(form))
}

export function hisho(args: readonly string[], options: RunOptions = {}): Promise<Result> {
  const { PATH = '' } = process.env
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: options.cwd ?? tmpdir(),
    env: { PATH, ...options.env },
  })
  const [out, err]: [Buffer[], Buffer[]] = [[], []]
  child.stdout.on('data', (piece: Buffer) => out.push(piece))
  child.stderr.on('data', (piece: Buffer) => err.push(piece))
  child.stdin.on('error', () => {}) // it may not want all of it
  child.stdin.end(options.input ?? '')
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => {
      const stdout = Buffer.concat(out)
      const stderr = Buffer.concat(err).toString('utf8')
      const text = stdout.toString('utf8')
      const told = args.includes('--show-secrets') || args.includes('--show')
      if (!told && [...secrets].some((secret) => `${text}${stderr}`.includes(secret)))
        return reject(new Error(`a secret was printed by hisho ${args.join(' ')}`))
      return resolve({ code, stdout, stderr, text })
    })
  })
}

export interface Site {
  readonly path: string
  readonly dns: DnsServer
  /** With this directory, and by default the key of its vault. */
  run(args: readonly string[], options?: RunOptions): Promise<Result>
  read(name: string): string
  write(name: string, text: string, mode?: number): void
  file(name: string): string
  close(): Promise<void>
}

/** config/hisho.ini asks the DNS server of the test; everything else is left to it. */
export async function openSite({ ini = '' }: { readonly ini?: string } = {}): Promise<Site> {
  const path = mkdtempSync(join(tmpdir(), 'hisho-cli-'))
  const dns = await startDnsServer()
  const file = (name: string): string => join(path, name)
  const write = (name: string, text: string, mode = 0o644): void => {
    mkdirSync(dirname(file(name)), { recursive: true })
    writeFileSync(file(name), text)
    chmodSync(file(name), mode)
  }
  write(
    'config/hisho.ini',
    `; mine\n[dns]\nservers=127.0.0.1:${dns.port}\ntimeout_ms=500\ntries=5\n${ini}`,
  )
  return {
    path,
    dns,
    file,
    write,
    read: (name) => readFileSync(file(name), 'utf8'),
    run: (args, options = {}) =>
      hisho(['--haraka', path, ...args], {
        ...options,
        env: { HISHO_PASSPHRASE: AGE_KEY, ...options.env },
      }),
    close: async () => {
      await dns.close()
      rmSync(path, { recursive: true, force: true })
    },
  }
}

/** `init` for these domains, and what it tells to publish is published. */
export async function openReadySite(...domains: string[]): Promise<Site> {
  const site = await openSite()
  await site.run(['init', ...domains.flatMap((domain) => ['--domain', domain])])
  await learnSecrets(site.file('config/hisho.vault.age'))
  for (const domain of domains) await publish(site, domain)
  return site
}

/** What the vault says for the domain, as its TXT records: the oldest `count` of each scheme. */
export async function publish(site: Site, domain: string, count = 1): Promise<void> {
  const { text } = await site.run(['params', 'show', domain, '--json'])
  const { vault } = JSON.parse(text) as { readonly vault: readonly string[] }
  const of = (scheme: string) => vault.filter((record) => record.includes(`; a=${scheme};`))
  site.dns.zone[`_ibemailkey.${domain}`] = {
    TXT: ['bf', 'cc', 'bb2'].flatMap((scheme) => of(scheme).slice(0, count)),
  }
}
