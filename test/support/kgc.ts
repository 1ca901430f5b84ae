// A KGC as an operator runs it: `hisho kgc serve` in a directory with config/ and no Haraka.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Authority } from './authority.ts'
import { freePort, ROOT, writeFiles, type Files } from './haraka.ts'
import { hishoIni, type SiteKeys } from './site.ts'

export interface KgcProcess {
  readonly directory: string
  readonly port: number
  output(): string
  /** The lines of the audit log. */
  audit(): readonly Readonly<Record<string, unknown>>[]
  /** Ends as systemd does; its exit code. */
  stop(): Promise<number | null>
  kill(): Promise<void>
  /** Again, in the same directory and on the same port. */
  start(): Promise<void>
  close(): Promise<void>
}

export interface KgcOptions {
  readonly keys: SiteKeys
  readonly authority: Authority
  /** Lines for [gateways]. */
  readonly gateways: string
  /** Lines for [main]. */
  readonly ini?: string
  readonly port?: number
}

const MAIN = join(ROOT, 'dist', 'lib', 'cli', 'main.js')

export async function startKgc(options: KgcOptions): Promise<KgcProcess> {
  const { keys, authority, gateways, ini = '' } = options
  const directory = mkdtempSync(join(tmpdir(), 'hisho-kgc-'))
  const port = options.port ?? (await freePort())
  const own = authority.issue('kgc.test', { names: 'IP:127.0.0.1', usage: 'serverAuth' })
  writeFiles(directory, {
    ...keys.files,
    'config/hisho.ini': hishoIni(1),
    'config/hisho.kgc.ini': `[main]\nlisten=127.0.0.1:${port}\ncert_file=kgc.pem\nkey_file=kgc.key\nclient_ca_file=ca.pem\n${ini}\n[gateways]\n${gateways}\n`,
    'config/kgc.pem': own.certificate,
    'config/kgc.key': own.privateKey,
    'config/ca.pem': authority.certificate,
  })
  let output = ''
  let ended: Promise<unknown> = Promise.resolve()
  let child: ReturnType<typeof spawn> | undefined
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    if (child?.exitCode === null && child.signalCode === null) child.kill(signal)
    await ended
    return child?.exitCode ?? null
  }
  const start = async (): Promise<void> => {
    output = ''
    const started = spawn(process.execPath, [MAIN, '--haraka', directory, 'kgc', 'serve'], {
      cwd: tmpdir(),
      env: { PATH: process.env['PATH'], HISHO_PASSPHRASE: keys.passphrase },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    child = started
    ended = once(started, 'exit')
    await new Promise<void>((resolve, reject) => {
      const read = (piece: Buffer): void => {
        output += piece.toString('utf8')
        if (/^KGC at /m.test(output)) resolve()
      }
      started.stdout.on('data', read)
      started.stderr.on('data', read)
      ended.then(
        () => reject(new Error(`the KGC ended:\n${output}`)),
        (error: unknown) => reject(error instanceof Error ? error : new Error('no exit')),
      )
    })
  }
  await start()
  return {
    directory,
    port,
    output: () => output,
    audit: () =>
      readFileSync(join(directory, 'config', 'hisho.kgc.log'), 'utf8')
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>),
    stop: () => end('SIGTERM'),
    kill: async () => void (await end('SIGKILL')),
    start,
    close: async () => {
      await end('SIGKILL')
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** What a gateway has in place of a vault. */
export function gatewayFiles(
  {
    url,
    authority,
    name,
  }: { readonly url: string; readonly authority: Authority; readonly name: string },
  dnsPort: number,
  more: { readonly kgc?: string; readonly ini?: string } = {},
): Files {
  const own = authority.issue(name, { usage: 'clientAuth' })
  const kgc = `[kgc]\nurl=${url}\nca_file=kgc-ca.pem\ncert_file=gateway.pem\nkey_file=gateway.key\n${more.kgc ?? ''}\n`
  return {
    'config/hisho.ini': hishoIni(dnsPort, `${kgc}${more.ini ?? ''}`),
    'config/kgc-ca.pem': authority.certificate,
    'config/gateway.pem': own.certificate,
    'config/gateway.key': own.privateKey,
  }
}
