// Whole gateways under load: hisho with OpenPGP and with S/MIME, against the same Haraka with a filter that starts a program
// for each message.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeArmor } from '../lib/openpgp/armor.ts'
import * as openpgp from '../test/openpgp/world.ts'
import * as smime from '../test/smime/world.ts'
import { ALICE, BOB } from '../test/support/scheme-mail.ts'
import { startDnsServer } from '../test/support/dns-server.ts'
import type { Files, Haraka } from '../test/support/haraka.ts'
import { hishoIni, makeSite, USER, type MailKeys, type SiteKeys } from '../test/support/site.ts'
import type { Filter } from './filter-plugin.ts'
import {
  capture,
  MAILS,
  message,
  openingRate,
  rate,
  start,
  WARM_UPS,
  type Bench,
} from './gateway.ts'
import { gpg, opensslCms, type Peer } from './peers.ts'
import { sideBySide, type Row } from './report.ts'

const OURS = MAILS
/** It is slow, and has no compiler to warm up. */
const THEIRS = 60
const ROUNDS = 5

/** Both sites with their keys, and the program that has the same ones. */
interface Contest {
  readonly form: Filter['form']
  readonly name: string
  readonly keysA: SiteKeys
  readonly keysB: SiteKeys
  readonly filesA: (dnsPort: number) => Files
  readonly filesB: (dnsPort: number) => Files
  readonly peer: Peer
  /** How many times as fast. */
  readonly wanted: number
}

export async function benchFilters(): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), 'hisho-bench-'))
  try {
    const rows: Row[] = []
    for (const make of [openPgp, smimeOf]) {
      const contest = await make(folder)
      try {
        rows.push(...(await compare(contest)))
      } finally {
        contest.peer.close?.()
      }
    }
    return rows
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function openPgp(folder: string): Promise<Contest> {
  const pool = openpgp.startPool()
  const alice = await openpgp.newKey(pool, ALICE)
  const bob = await openpgp.newKey(pool, BOB)
  await pool.close()
  const published = ({ certificate }: openpgp.TestKey): Buffer =>
    Buffer.concat([...writeArmor('PUBLIC KEY BLOCK', certificate)])
  const entry = (user: string, key: openpgp.TestKey) => ({
    ...openpgp.ownKey(user, key),
    certificates: [],
  })
  return {
    form: 'openpgp',
    name: 'OpenPGP (curve25519)',
    ...(await sites({
      'a.example': { openpgp: [entry('alice', alice)] },
      'b.example': { openpgp: [entry('bob', bob)] },
    })),
    filesA: () => ({ [`config/hisho.keys/openpgp/${BOB}.asc`]: published(bob) }),
    filesB: () => ({ [`config/hisho.keys/openpgp/${ALICE}.asc`]: published(alice) }),
    peer: gpg(folder, alice, bob),
    wanted: 20,
  }
}

async function smimeOf(folder: string): Promise<Contest> {
  const [alice, bob] = [ALICE, BOB].map((address) =>
    smime.certificateOf(address, { key: 'rsa3072' }),
  )
  if (!alice || !bob) throw new Error('no certificates')
  const trusting = (dnsPort: number): Files => ({
    'config/hisho.ini': hishoIni(dnsPort, '[smime]\nanchors_file=anchors.pem\nrevocation=off\n'),
    'config/anchors.pem': smime.authority.certificate,
  })
  return {
    form: 'smime',
    name: 'S/MIME (compat, RSA-3072)',
    ...(await sites({
      'a.example': { smime: [smime.ownKey('alice', alice)] },
      'b.example': { smime: [smime.ownKey('bob', bob)] },
    })),
    filesA: (dnsPort) => ({
      ...trusting(dnsPort),
      [`config/hisho.keys/smime/${BOB}.pem`]: bob.certificate,
    }),
    filesB: trusting,
    peer: opensslCms(folder, alice, bob, 'compat'),
    wanted: 10,
  }
}

async function sites(mail: MailKeys): Promise<{ keysA: SiteKeys; keysB: SiteKeys }> {
  const [keysA, keysB] = await Promise.all(
    ['a.example', 'b.example'].map((domain) =>
      makeSite(domain, { mail: { [domain]: mail[domain] ?? {} } }),
    ),
  )
  if (!keysA || !keysB) throw new Error('no sites')
  return { keysA, keysB }
}

async function compare(contest: Contest): Promise<Row[]> {
  const dns = await startDnsServer({})
  const bench = { dns, keysA: contest.keysA, keysB: contest.keysB }
  try {
    return [...(await compareSealing(contest, bench)), ...(await compareOpening(contest, bench))]
  } finally {
    await dns.close()
  }
}

async function compareSealing(contest: Contest, bench: Bench): Promise<Row[]> {
  const chain = ['auth/flat_file', 'rcpt_to.in_host_list']
  const bytes = message(BOB, 10_240)
  return rowsOf(
    contest,
    'hisho/encrypt',
    {
      ours: () => start(bench, 'a', [...chain, 'hisho/encrypt'], filesOfA(contest, bench)),
      theirs: () => startFilter(contest, bench, 'seal', chain),
      bare: () => start(bench, 'a', [...chain, 'rewrite']),
    },
    (haraka, count) => rate(haraka, count, () => ({ to: BOB, bytes }), true),
  )
}

async function compareOpening(contest: Contest, bench: Bench): Promise<Row[]> {
  const chain = ['rcpt_to.in_host_list', 'queue/discard']
  const encrypt = ['auth/flat_file', 'hisho/encrypt', 'queue/smtp_forward']
  const recipients = Array<string>(OURS).fill(BOB)
  const mails = await capture(bench, encrypt, recipients, 10_240, filesOfA(contest, bench))
  const files = contest.filesB(bench.dns.port)
  return rowsOf(
    contest,
    'hisho/decrypt',
    {
      ours: () => start(bench, 'b', ['hisho/decrypt', ...chain], files),
      theirs: () => startFilter(contest, bench, 'open', chain),
      bare: () => start(bench, 'b', ['rewrite', ...chain]),
    },
    (haraka, count) => openingRate(haraka, BOB, mails.slice(0, count)),
  )
}

function filesOfA(contest: Contest, { dns }: Bench): Files {
  return {
    'config/hisho.yaml': `local: [a.example]\nsenders: { ${USER}: ['*@a.example'] }\ndomains:\n  b.example: { encrypt: required, scheme: ${contest.form} }\n`,
    ...contest.filesA(dns.port),
  }
}

/** The filter in place of hisho, in the chain's place for it: before the queue. */
function startFilter(
  { form, peer }: Contest,
  bench: Bench,
  does: Filter['does'],
  chain: readonly string[],
): Promise<Haraka> {
  const filter: Filter = { form, does, command: peer[does]('-') }
  return start(
    bench,
    does === 'seal' ? 'a' : 'b',
    ['filter', ...chain],
    {
      'plugins/filter.js':
        "Object.assign(exports, require(process.env.HARAKA + '/node_modules/haraka-plugin-hisho/dist/bench/filter-plugin.js'))\n",
    },
    { BENCH_FILTER: JSON.stringify(filter), ...peer.environment },
  )
}

const SIDES = ['ours', 'theirs', 'bare'] as const
type Side = (typeof SIDES)[number]

async function rowsOf(
  { name, peer, wanted }: Contest,
  plugin: string,
  starts: Readonly<Record<Side, () => Promise<Haraka>>>,
  load: (haraka: Haraka, count: number) => Promise<number>,
): Promise<Row[]> {
  const running = new Map<Side, Haraka>()
  const time: Record<Side, number> = { ours: 0, theirs: 0, bare: 0 }
  const measure = async (side: Side): Promise<number> => {
    const haraka = running.get(side)!
    const count = side === 'theirs' ? THEIRS : OURS
    const before = processorMs(haraka)
    const figure = await load(haraka, count)
    time[side] = (processorMs(haraka) - before) / count
    return figure
  }
  try {
    for (const side of SIDES) running.set(side, await starts[side]())
    for (const side of ['ours', 'bare'] as const)
      for (let round = 0; round < WARM_UPS; round++) await measure(side)
    const result = await sideBySide(
      ROUNDS,
      () => measure('ours'),
      () => measure('theirs'),
    )
    const most = await sideBySide(
      ROUNDS,
      () => measure('bare'),
      () => measure('theirs'),
    )
    const what = `${plugin}, ${name}: 10 KB mails accepted`
    return [
      {
        name: `${what}, against a filter that starts \`${peer.name}\``,
        value: result.ours,
        unit: 'mails/s',
        ratio: result.ratio,
        target: { least: wanted },
      },
      {
        name: `${what}, without any cryptography, against that filter`,
        value: most.ours,
        unit: 'mails/s',
        ratio: most.ratio,
      },
      {
        name: `${plugin}, ${name}: the processor’s time for a mail, against that filter’s`,
        value: time.ours,
        unit: 'ms',
        ratio: time.ours / time.theirs,
      },
      {
        name: `${plugin}, ${name}: of that, what is not Haraka’s, against that filter’s`,
        value: time.ours - time.bare,
        unit: 'ms',
        ratio: (time.ours - time.bare) / (time.theirs - time.bare),
      },
    ]
  } finally {
    await Promise.all([...running.values()].map((haraka) => haraka.stop()))
  }
}

const TICK_MS = 10 // Linux: USER_HZ is 100

/** Of the process that handles mail with its threads, and of those that it has started and that have ended. */
function processorMs({ process }: Haraka): number {
  const children = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'latin1')
  const pids = children.trim().split(' ').filter(Boolean)
  return [process.pid, ...pids].reduce<number>((sum, pid) => {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return sum + fields.slice(11, 15).reduce((all, field) => all + Number(field), 0) * TICK_MS
  }, 0)
}
