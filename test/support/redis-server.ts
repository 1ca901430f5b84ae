// Debian's redis-server on the loopback, with nothing on disk but a temporary folder; ended by its own handle.
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { peer } from './peers.ts'

const run = promisify(execFile)

/** For `skip`: false when redis-server is here. */
export const redisMissing = peer('redis-server', 'redis-server')

export interface RedisServer {
  readonly port: number
  readonly folder: string
  /** What redis-cli prints. */
  cli(...args: string[]): Promise<string>
  /** SIGKILL, and gone when this returns. */
  kill(): Promise<void>
  /** The same server, empty, on the same port. */
  start(): Promise<void>
  /** SIGSTOP: connections stay open and nothing answers. */
  pause(): void
  resume(): void
  close(): Promise<void>
}

export interface RedisServerOptions {
  readonly args?: readonly string[]
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string }
  /** Lines of a configuration file, as a sentinel needs one. */
  readonly config?: readonly string[]
  readonly ready?: RegExp
}

export async function startRedis({
  args = [],
  tls,
  config,
  ready = /Ready to accept connections/,
}: RedisServerOptions = {}): Promise<RedisServer> {
  const folder = mkdtempSync(join(tmpdir(), 'hisho-redis-'))
  const file = join(folder, 'redis.conf')
  if (config) writeFileSync(file, config.join('\n'))
  let child: ChildProcess | undefined
  let port = 0

  const launch = async (): Promise<boolean> => {
    const where = tls
      ? ['--port', '0', '--tls-port', `${port}`, '--tls-cert-file', tls.cert]
          .concat('--tls-key-file', tls.key, '--tls-ca-cert-file', tls.ca)
          .concat('--tls-auth-clients', 'no')
      : ['--port', `${port}`]
    const disk = config ? [] : ['--save', '', '--appendonly', 'no']
    const started = spawn(
      'redis-server',
      [
        ...(config ? [file] : []),
        ...where,
        '--bind',
        '127.0.0.1',
        '--dir',
        folder,
        ...disk,
        ...args,
      ],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    )
    child = started
    return isReady(started, ready)
  }
  const kill = async (): Promise<void> => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  for (let attempt = 1; ; attempt += 1) {
    port = await freePort()
    if (await launch()) break
    if (attempt === 5) throw new Error('redis-server does not start')
  }
  return {
    port,
    folder,
    async cli(...command) {
      const secure = tls ? ['--tls', '--cacert', tls.ca] : []
      const { stdout } = await run('redis-cli', [
        '-h',
        '127.0.0.1',
        '-p',
        `${port}`,
        ...secure,
        ...command,
      ])
      return stdout.trim()
    },
    kill,
    async start() {
      if (!(await launch())) throw new Error('redis-server does not start again')
    },
    pause: () => void child?.kill('SIGSTOP'),
    resume: () => void child?.kill('SIGCONT'),
    async close() {
      await kill()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** A sentinel that watches one server under the name `mail`. */
export function startSentinel(watched: RedisServer): Promise<RedisServer> {
  return startRedis({
    config: [`sentinel monitor mail 127.0.0.1 ${watched.port} 1`],
    args: ['--sentinel'],
    ready: /\+monitor/,
  })
}

/** Three nodes that share the slots. */
export async function startCluster(): Promise<RedisServer[]> {
  const nodes = await Promise.all(
    [1, 2, 3].map(async () => {
      const bus = await freePort() // not the port plus 10000, which may be beyond 65535
      return startRedis({ args: ['--cluster-enabled', 'yes', '--cluster-port', `${bus}`] })
    }),
  )
  const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`)
  await run('redis-cli', ['--cluster', 'create', ...addresses, '--cluster-yes'])
  for (const node of nodes) {
    while (!(await node.cli('cluster', 'info')).includes('cluster_state:ok')) await node.cli('ping')
  }
  return nodes
}

/** A CA and a certificate of 127.0.0.1 by it, made by openssl in this folder. */
export async function makeCertificates(
  folder: string,
): Promise<{ ca: string; cert: string; key: string }> {
  const at = (name: string): string => join(folder, name)
  const [ca, cert, key] = [at('ca.pem'), at('cert.pem'), at('key.pem')]
  const fresh = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  await run('openssl', [
    ...fresh,
    '-days',
    '2',
    '-subj',
    '/CN=Test CA',
    '-keyout',
    at('ca.key'),
    '-out',
    ca,
  ])
  const leaf = ['-subj', '/CN=redis', '-addext', 'subjectAltName=IP:127.0.0.1']
  const signed = [
    '-CA',
    ca,
    '-CAkey',
    at('ca.key'),
    '-addext',
    'basicConstraints=critical,CA:FALSE',
  ]
  await run('openssl', [...fresh, '-days', '2', ...leaf, ...signed, '-keyout', key, '-out', cert])
  return { ca, cert, key }
}

async function isReady(child: ChildProcess, ready: RegExp): Promise<boolean> {
  if (child.stdout === null) return false
  const lines = createInterface({ input: child.stdout })
  const exited = once(child, 'exit').then(() => false)
  const seen = (async () => {
    for await (const line of lines) if (ready.test(line)) return true
    return false
  })()
  const result = await Promise.race([seen, exited])
  child.stdout.resume()
  return result
}

async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const place = server.address()
  server.close()
  await once(server, 'close')
  return typeof place === 'object' && place ? place.port : 0
}
