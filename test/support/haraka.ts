// A real Haraka in a directory of its own, on loopback.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

export const ROOT = findRoot()
const HARAKA = join(ROOT, 'node_modules', 'haraka', 'bin', 'haraka')

function findRoot(): string {
  let folder = __dirname
  while (!readdirSync(folder).includes('package-lock.json')) folder = dirname(folder)
  return folder
}

/** Files below the Haraka directory: `config/plugins` and the like. A text each, or lines. */
export type Files = Readonly<Record<string, string | Uint8Array | readonly string[]>>

export interface Haraka {
  readonly directory: string
  readonly port: number
  readonly host: string
  readonly process: ChildProcess
  log(): string
  /** What was logged so far is not looked at again. */
  forgetLog(): void
  /** Resolves once the log has a line that matches; rejects after a bounded wait. */
  waitForLog(pattern: RegExp, timeoutMs?: number): Promise<void>
  /** Names of the files in the outbound queue. */
  queued(): string[]
  stop(): Promise<void>
  kill(): Promise<void>
}

export interface HarakaOptions {
  readonly files: Files
  readonly directory?: string
  readonly host?: string
  readonly port?: number
  readonly environment?: Readonly<Record<string, string>>
  /** How the pack gets into node_modules; default: a link to this repository. */
  readonly install?: (directory: string) => void
}

export function writeFiles(directory: string, files: Files): void {
  for (const [name, content] of Object.entries(files)) {
    const file = join(directory, name)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(
      file,
      typeof content === 'string' || content instanceof Uint8Array
        ? content
        : `${content.join('\n')}\n`,
    )
  }
}

/** A directory with what every Haraka needs, and the pack in it. */
function prepareHaraka({
  files,
  host = '127.0.0.1',
  install = link,
}: HarakaOptions & { port: number }): string {
  void host
  const directory = mkdtempSync(join(tmpdir(), 'hisho-haraka-'))
  writeFiles(directory, {
    'config/me': 'haraka.test\n',
    'config/loglevel': 'INFO\n',
    'config/connection.ini':
      '[main]\n[message]\ngreeting[]=ready\n[uuid]\n[max]\nbytes=104857600\ndata_line_length=1000000\n',
    'config/outbound.ini': 'temp_fail_intervals=5s,5s\n',
    'package.json': '{"private":true}\n',
    ...files,
  })
  mkdirSync(join(directory, 'queue'), { recursive: true })
  mkdirSync(join(directory, 'node_modules'), { recursive: true })
  install(directory)
  return directory
}

function link(directory: string): void {
  symlinkSync(ROOT, join(directory, 'node_modules', 'haraka-plugin-hisho'))
  for (const name of readdirSync(join(ROOT, 'node_modules')).filter((entry) =>
    entry.startsWith('haraka-plugin-'),
  )) {
    symlinkSync(join(ROOT, 'node_modules', name), join(directory, 'node_modules', name))
  }
}

export async function freePort(host = '127.0.0.1'): Promise<number> {
  const server = createServer()
  server.listen(0, host)
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address ? address.port : 0
}

/** Rejects, with the log, if it does not listen within a bounded time. */
export async function startHaraka(options: HarakaOptions): Promise<Haraka> {
  const host = options.host ?? '127.0.0.1'
  const port = options.port ?? (await freePort(host))
  const directory = options.directory ?? prepareHaraka({ ...options, port })
  const listen = host.includes(':') ? `[${host}]` : host
  writeFiles(directory, {
    'config/smtp.ini': `listen=${listen}:${port}\n${smtpIni(options.files)}`,
  })
  const child = spawn(process.execPath, [HARAKA, '-c', directory], {
    cwd: directory,
    env: { ...process.env, HARAKA: directory, ...options.environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let log = ''
  const waiting = new Set<() => void>()
  const read = (piece: Buffer): void => {
    log += piece.toString('utf8')
    for (const check of waiting) check()
  }
  child.stdout.on('data', read)
  child.stderr.on('data', read)
  const exited = once(child, 'exit')
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal)
    await exited
  }
  const haraka: Haraka = {
    directory,
    port,
    host,
    process: child,
    log: () => log,
    forgetLog: () => {
      log = ''
    },
    waitForLog: (pattern, timeoutMs = 20_000) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          waiting.delete(check)
          reject(new Error(`no line ${pattern} within ${timeoutMs} ms in:\n${log.slice(-6000)}`))
        }, timeoutMs)
        const check = (): void => {
          if (!pattern.test(log)) return
          clearTimeout(timer)
          waiting.delete(check)
          resolve()
        }
        waiting.add(check)
        check()
      }),
    queued: () => readdirSync(join(directory, 'queue')),
    stop: async () => {
      await end('SIGKILL')
      rmSync(directory, { recursive: true, force: true })
    },
    kill: () => end('SIGKILL'),
  }
  for (let tries = 0; tries < 300; tries++) {
    if (child.exitCode !== null) break
    if (await listens(port, host)) return haraka
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  await end('SIGKILL')
  if (options.directory === undefined) rmSync(directory, { recursive: true, force: true })
  throw new Error(`Haraka did not start:\n${log.slice(-6000)}`)
}

function smtpIni(files: Files): string {
  const own = files['config/smtp.ini']
  return own === undefined
    ? ''
    : typeof own === 'string'
      ? own
      : Buffer.from(own as Uint8Array).toString('utf8')
}

async function listens(port: number, host: string): Promise<boolean> {
  const socket = connect(port, host)
  return new Promise((resolve) => {
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
