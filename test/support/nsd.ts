// Debian's nsd on the loopback: an authoritative server for zone files of ours, signed by ldns-signzone where wanted.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createResolver } from '../../lib/dns/resolver.ts'
import { freeDnsPort } from './dns-server.ts'
import { peer } from './peers.ts'

/** For `skip`: false when nsd and the signer are here. */
export const nsdMissing =
  peer('nsd', 'nsd', ['/usr/sbin', '/sbin']) || peer('ldns-signzone', 'ldnsutils')

export interface Nsd {
  readonly port: number
  close(): Promise<void>
}

/** Zone name to the text of its file. */
export async function startNsd(zones: Readonly<Record<string, string>>): Promise<Nsd> {
  const folder = mkdtempSync(join(tmpdir(), 'hisho-nsd-'))
  for (const [name, text] of Object.entries(zones))
    writeFileSync(join(folder, `${name}.zone`), text)
  const port = await freeDnsPort()
  const file = join(folder, 'nsd.conf')
  writeFileSync(file, configuration(folder, port, Object.keys(zones)))
  const child = spawn('nsd', ['-d', '-c', file], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` },
  })
  const close = async (): Promise<void> => {
    await endOf(child)
    rmSync(folder, { recursive: true, force: true })
  }
  await untilAnswers(child, port, Object.keys(zones)[0] ?? '.', close)
  return { port, close }
}

/** The text of a signed zone, and the DS records for its parent. `from` and `until` as YYYYMMDDhhmmss. */
export function signZone(
  name: string,
  text: string,
  validity?: { readonly from: string; readonly until: string },
): { readonly text: string; readonly ds: string } {
  const folder = mkdtempSync(join(tmpdir(), 'hisho-zone-'))
  try {
    const call = (program: string, args: readonly string[]): string =>
      execFileSync(program, args, { cwd: folder, encoding: 'utf8', stdio: 'pipe' }).trim()
    const keygen = ['-a', 'ECDSAP256SHA256']
    const zoneKey = call('ldns-keygen', [...keygen, name])
    const keyKey = call('ldns-keygen', [...keygen, '-k', name])
    writeFileSync(join(folder, 'zone'), text)
    const times = validity ? ['-i', validity.from, '-e', validity.until] : []
    call('ldns-signzone', [...times, '-o', name, '-f', 'signed', 'zone', zoneKey, keyKey])
    return {
      text: readFileSync(join(folder, 'signed'), 'utf8'),
      ds: readFileSync(join(folder, `${keyKey}.ds`), 'utf8').trim(),
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** SIGTERM, and gone when this returns. */
export async function endOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill()
  await gone
}

/** Resolves when the server on that port says anything at all about the name. */
export async function untilAnswers(
  child: ChildProcess,
  port: number,
  name: string,
  giveUp: () => Promise<void>,
): Promise<void> {
  const said: Buffer[] = []
  child.stderr?.on('data', (piece: Buffer) => said.push(piece))
  const servers = [{ address: '127.0.0.1', port, trusted: false }]
  const resolver = createResolver({ servers, timeoutMs: 200, tries: 1 })
  const end = Date.now() + 20_000
  for (;;) {
    const asked = await resolver.resolve(name, 'A').then(
      () => 'dns/servfail',
      (error: unknown) => (error instanceof Error && 'code' in error ? error.code : error),
    )
    if (asked === 'dns/servfail' || asked === 'dns/refused') return
    if (child.exitCode === null && Date.now() < end) continue
    await giveUp()
    throw new Error(`the server does not answer: ${Buffer.concat(said).toString()}`)
  }
}

function configuration(folder: string, port: number, zones: readonly string[]): string {
  const lines = [
    'server:',
    `  ip-address: 127.0.0.1@${port}`,
    '  server-count: 1',
    '  username: ""',
    '  chroot: ""',
    '  pidfile: ""',
    `  zonesdir: "${folder}"`,
    `  zonelistfile: "${folder}/zone.list"`,
    `  xfrdfile: "${folder}/xfrd.state"`,
    `  xfrdir: "${folder}"`,
    'remote-control:',
    '  control-enable: no',
    ...zones.flatMap((name) => ['zone:', `  name: "${name}"`, `  zonefile: "${name}.zone"`]),
  ]
  return `${lines.join('\n')}\n`
}
