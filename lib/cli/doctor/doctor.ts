// `hisho doctor`: everything that must be right, looked at.
import { join } from 'node:path'
import type { SharedSettings } from '../../services/settings.ts'
import type { Context } from '../context.ts'
import { EXIT, type ExitCode } from '../exit-code.ts'
import type { Colour } from '../terminal.ts'
import { checkClock } from './clock.ts'
import { checkDelivery } from './delivery.ts'
import { checkSettings, checkTable, checkVault } from './files.ts'
import { fail, type Finding, type Status } from './finding.ts'
import { checkPackage, checkVersion, findHaraka } from './haraka-package.ts'
import { checkConnection, checkHttp, checkPlugins, checkTimeouts } from './haraka-settings.ts'
import { checkHeld } from './held.ts'
import { checkKgc } from './kgc.ts'
import { checkDns, checkPublished, checkRedis, checkRequired, checkSchemes } from './network.ts'
import { checkStore } from './store.ts'
import { checkTlsrpt } from './tlsrpt.ts'

export interface DoctorOptions {
  readonly json: boolean
  readonly harakaPackage: string | undefined
}

/** Exit 0: nothing failed. Warnings do not fail. */
export async function doctor(
  context: Context,
  { json, harakaPackage }: DoctorOptions,
): Promise<ExitCode> {
  const findings = await examine(context, harakaPackage)
  const counts = {
    ok: findings.filter(({ status }) => status === 'ok').length,
    warn: findings.filter(({ status }) => status === 'warn').length,
    fail: findings.filter(({ status }) => status === 'fail').length,
  }
  if (json) context.terminal.json({ haraka: context.haraka().path, ...counts, checks: findings })
  else print(context, findings, counts)
  return counts.fail > 0 ? EXIT.failed : EXIT.ok
}

async function examine(context: Context, harakaPackage: string | undefined): Promise<Finding[]> {
  const haraka = context.haraka()
  const program = findHaraka(haraka, harakaPackage)
  const findings: Finding[] = [
    checkVersion(program),
    checkPackage(haraka, program),
    ...checkPlugins(haraka),
    ...checkConnection(haraka),
    ...checkHttp(haraka),
    ...checkTlsrpt(context),
    ...checkSettings(context),
  ]
  let settings: SharedSettings
  try {
    settings = context.settings()
  } catch {
    return [...findings, fail('all else', 'not looked at', 'mend hisho.ini first')]
  }
  const { finding, table } = await checkTable(settings.tableFile)
  const { kgc } = settings
  const vault = kgc ? { findings: [], contents: undefined } : await checkVault(context)
  const local = [...(table?.local ?? [])]
  context.terminal.progress('asking DNS and Redis')
  const [dns, redis, required, delivery, ...published] = await Promise.all([
    checkDns(context, local[0] ?? 'example.com'),
    checkRedis(context, settings),
    table ? checkRequired(context, table) : [],
    table ? checkDelivery(context, table) : [],
    ...(kgc
      ? [checkKgc(context, kgc, local)]
      : local.map((domain) => checkPublished(context, domain, vault.contents))),
  ])
  const files = [settings.tableFile, settings.vaultFile, join(haraka.config, 'hisho.ini')]
  return [
    ...findings,
    ...checkTimeouts(haraka, settings),
    finding,
    ...vault.findings,
    checkStore(settings, haraka),
    await checkHeld(context, settings),
    checkClock(context, files, vault.contents),
    dns,
    ...published.flat(),
    ...required,
    ...(table ? checkSchemes(table) : []),
    ...delivery,
    redis,
  ]
}

const COLOURS: Readonly<Record<Status, Colour>> = { ok: 'green', warn: 'yellow', fail: 'red' }

function print(
  { terminal }: Context,
  findings: readonly Finding[],
  counts: Readonly<Record<Status, number>>,
): void {
  const width = Math.max(...findings.map(({ check }) => check.length))
  for (const { check, status, found, advice } of findings) {
    terminal.line(
      `${terminal.paint(COLOURS[status], status.padEnd(4))}  ${check.padEnd(width)}  ${found}`,
    )
    if (advice !== undefined) terminal.line(`${' '.repeat(width + 8)}-> ${advice}`)
  }
  terminal.line(`\n${counts.ok} ok, ${counts.warn} to look at, ${counts.fail} to mend`)
}
