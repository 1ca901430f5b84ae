// Debian's unbound on the loopback: a validating resolver with a trust anchor of ours, over UDP, TCP and HTTPS.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Credentials } from './authority.ts'
import { freeDnsPort } from './dns-server.ts'
import { endOf, untilAnswers } from './nsd.ts'
import { peer } from './peers.ts'

/** For `skip`: false when unbound is here. */
export const unboundMissing = peer('unbound', 'unbound', ['/usr/sbin', '/sbin'])

export interface Unbound {
  readonly port: number
  /** DNS over HTTPS at `/dns-query`. */
  readonly httpsPort: number
  close(): Promise<void>
}

export interface UnboundOptions {
  /** Zones that it asks for on another port, and which. */
  readonly stubs: readonly string[]
  readonly stubPort: number
  /** DS records. */
  readonly trustAnchors: readonly string[]
  readonly credentials: Credentials
}

export async function startUnbound(options: UnboundOptions): Promise<Unbound> {
  const { credentials } = options
  const folder = mkdtempSync(join(tmpdir(), 'hisho-unbound-'))
  const port = await freeDnsPort()
  const httpsPort = await freeDnsPort()
  writeFileSync(join(folder, 'cert.pem'), credentials.certificate)
  writeFileSync(join(folder, 'key.pem'), credentials.privateKey)
  const file = join(folder, 'unbound.conf')
  writeFileSync(file, configuration(folder, port, httpsPort, options))
  const child = spawn('unbound', ['-d', '-p', '-c', file], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` },
  })
  const close = async (): Promise<void> => {
    await endOf(child)
    rmSync(folder, { recursive: true, force: true })
  }
  await untilAnswers(child, port, options.stubs[0] ?? 'localhost', close)
  return { port, httpsPort, close }
}

function configuration(
  folder: string,
  port: number,
  httpsPort: number,
  { stubs, stubPort, trustAnchors }: UnboundOptions,
): string {
  const lines = [
    'server:',
    '  num-threads: 1',
    `  interface: 127.0.0.1@${port}`,
    `  interface: 127.0.0.1@${httpsPort}`,
    `  https-port: ${httpsPort}`,
    `  tls-service-pem: "${folder}/cert.pem"`,
    `  tls-service-key: "${folder}/key.pem"`,
    '  access-control: 127.0.0.0/8 allow',
    '  do-ip6: no',
    '  do-not-query-localhost: no',
    '  username: ""',
    '  chroot: ""',
    `  directory: "${folder}"`,
    '  pidfile: ""',
    '  use-syslog: no',
    '  module-config: "validator iterator"',
    ...trustAnchors.map((anchor) => `  trust-anchor: "${anchor.replaceAll('\t', ' ')}"`),
    'remote-control:',
    '  control-enable: no',
    ...stubs.flatMap((name) => [
      'stub-zone:',
      `  name: "${name}"`,
      `  stub-addr: 127.0.0.1@${stubPort}`,
    ]),
  ]
  return `${lines.join('\n')}\n`
}
