// A KGC with real master keys behind a real HTTPS server, and gateways with certificates of a test authority.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '../../../lib/clock.ts'
import { createBb2, createBb2Pool, type Bb2 } from '../../../lib/ibe/bb2/bb2.ts'
import { IDENTITY_DST } from '../../../lib/ibe/boneh-franklin.ts'
import { createIbe, createIbePool, type Ibe } from '../../../lib/ibe/ibe.ts'
import {
  createMasterKeySource,
  type KeyScheme,
  type MasterKey,
} from '../../../lib/ibe/key-source.ts'
import type { PeriodKind } from '../../../lib/ibe/period.ts'
import { createAuditLog } from '../../../lib/ibe/remote/audit.ts'
import { createKgcHandler, type KeyCentre } from '../../../lib/ibe/remote/handler.ts'
import type { PublicGeneration } from '../../../lib/ibe/remote/protocol.ts'
import { createRateLimit } from '../../../lib/ibe/remote/rate.ts'
import {
  startKgcServer,
  type KgcServer,
  type KgcServerOptions,
} from '../../../lib/ibe/remote/server.ts'
import { SIGNER_DST } from '../../../lib/ibe/signature/cha-cheon.ts'
import { makeAuthority, type Authority, type Credentials } from '../../support/authority.ts'

const DAY_MS = 86_400_000

/** The scheme's engines, whose threads end with `close`. */
export interface Engines {
  readonly ibe: Ibe
  readonly bb2: Bb2
  close(): Promise<void>
}

export function openEngines(clock: Clock): Engines {
  const pool = createIbePool({ size: 1, queueLimit: 100 })
  const bb2Pool = createBb2Pool({ size: 1, queueLimit: 100 })
  const ibe = createIbe({ pool, clock })
  return {
    ibe,
    bb2: createBb2({ pool: bb2Pool }),
    close: async () => {
      ibe.close()
      await Promise.all([pool.close(), bb2Pool.close()])
    },
  }
}

export interface OwnGeneration extends MasterKey, PublicGeneration {
  readonly domain: string
  readonly scheme: KeyScheme
}

export async function makeGeneration(
  { ibe, bb2 }: Engines,
  scheme: KeyScheme,
  {
    n = 1,
    period = 'month',
    domain = 'b.example',
  }: { n?: number; period?: PeriodKind; domain?: string } = {},
): Promise<OwnGeneration> {
  if (scheme === 'bb2') return { domain, scheme, n, period: 'none', ...(await bb2.generate()) }
  const masterKey = await ibe.generateMasterKey()
  return { domain, scheme, n, period, masterKey, publicKey: await ibe.publicKey(masterKey) }
}

/** What a vault gives. */
export function centreOf(
  { ibe, bb2 }: Engines,
  clock: Clock,
  generations: readonly OwnGeneration[],
): KeyCentre {
  const of = (domain: string, scheme: KeyScheme): OwnGeneration[] =>
    generations.filter((one) => one.domain === domain && one.scheme === scheme)
  const keys = createMasterKeySource({
    clock,
    masterKeys: async (domain, scheme) => of(domain, scheme),
    extract: {
      bf: (masterKey, identity) => ibe.extract(masterKey, identity, IDENTITY_DST),
      cc: (masterKey, identity) => ibe.extract(masterKey, identity, SIGNER_DST),
      bb2: (masterKey, localPart) => bb2.extract(masterKey, localPart),
    },
  })
  return { generations: async (...which) => of(...which), identityKey: keys.identityKey }
}

/** Certificates cost time: one set for a file of tests. */
export interface Certificates {
  readonly authority: Authority
  readonly kgc: Credentials
  readonly gateway: Credentials
  close(): void
}

export function makeCertificates(): Certificates {
  const authority = makeAuthority()
  return {
    authority,
    kgc: authority.issue('kgc.test', { names: 'IP:127.0.0.1', usage: 'serverAuth' }),
    gateway: authority.issue('mx.b.example', { usage: 'clientAuth' }),
    close: () => authority.close(),
  }
}

export interface TestKgc extends KgcServer {
  readonly url: string
  readonly auditFile: string
  audit(): readonly Readonly<Record<string, unknown>>[]
  readonly log: readonly string[]
}

export interface TestKgcOptions {
  readonly centre: KeyCentre
  readonly clock: Clock
  readonly certificates: Certificates
  readonly perMinute?: number
  readonly limits?: KgcServerOptions['limits']
  readonly auditFile?: string
}

const GATEWAYS = new Map([['mx.b.example', new Set(['b.example', 'other.example'])]])

export async function startTestKgc(options: TestKgcOptions): Promise<TestKgc> {
  const { centre, clock, certificates, perMinute = 600, limits } = options
  const folder = mkdtempSync(join(tmpdir(), 'hisho-audit-'))
  const auditFile = options.auditFile ?? join(folder, 'audit.log')
  const log: string[] = []
  const server = await startKgcServer({
    handler: createKgcHandler({
      centre,
      window: { pastMs: 14 * DAY_MS, skewMs: 600_000 },
      rate: createRateLimit(clock, perMinute),
      audit: createAuditLog(auditFile, clock),
      clock,
      log: (_level, message) => log.push(message),
    }),
    gateways: GATEWAYS,
    host: '127.0.0.1',
    port: 0,
    certificate: certificates.kgc.certificate,
    privateKey: certificates.kgc.privateKey,
    clientAuthorities: certificates.authority.certificate,
    clock,
    log: (_level, message) => log.push(message),
    ...(limits && { limits }),
  })
  return {
    port: server.port,
    url: `https://127.0.0.1:${server.port}`,
    auditFile,
    log,
    audit: () =>
      readFileSync(auditFile, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>),
    close: async () => {
      await server.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
