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

const ROUNDS = 5

/** Both sites with their keys, and the program that has the same ones. */
interface Contest {
  readonly form: Filter['form']
  readonly name: string
  readonly keysA: SiteKeys
  readonly keysB: SiteKeys
  readonly filesA: (dnsPort: number) => Files
  readonly filesB: (dnsPort: number) => Files
  readonly rivals: readonly Rival[]
}

interface Rival {
  readonly peer: Peer
  /** In each round: it is slow, and has no compiler to warm up. */
  readonly mails: number
  /** How many times as fast we should be. */
  readonly wanted?: number
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
        for (const { peer } of contest.rivals) peer.close?.()
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
    rivals: [
      { peer: gpg(folder, alice, bob), mails: 60, wanted: 20 },
      { peer: gpg(folder, alice, bob, 'locked'), mails: 10, wanted: 20 },
    ],
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
    rivals: [{ peer: opensslCms(folder, alice, bob, 'compat'), mails: 60, wanted: 10 }],
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
      theirs: ({ peer }) => startFilter(contest.form, peer, bench, 'seal', chain),
      bare: () => start(bench, 'a', [...chain, 'rewrite']),
    },
    (haraka, count) => rate(haraka, count, () => ({ to: BOB, bytes }), true),
  )
}

async function compareOpening(contest: Contest, bench: Bench): Promise<Row[]> {
  const chain = ['rcpt_to.in_host_list', 'queue/discard']
  const encrypt = ['auth/flat_file', 'hisho/encrypt', 'queue/smtp_forward']
  const recipients = Array<string>(MAILS).fill(BOB)
  const mails = await capture(bench, encrypt, recipients, 10_240, filesOfA(contest, bench))
  const files = contest.filesB(bench.dns.port)
  return rowsOf(
    contest,
    'hisho/decrypt',
    {
      ours: () => start(bench, 'b', ['hisho/decrypt', ...chain], files),
      theirs: ({ peer }) => startFilter(contest.form, peer, bench, 'open', chain),
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
  form: Filter['form'],
  peer: Peer,
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

interface Sides {
  readonly ours: () => Promise<Haraka>
  readonly theirs: (rival: Rival) => Promise<Haraka>
  /** Reads and rewrites each message. */
  readonly bare: () => Promise<Haraka>
}

type Load = (haraka: Haraka, count: number) => Promise<number>

async function rowsOf(
  { name, rivals }: Contest,
  plugin: string,
  sides: Sides,
  load: Load,
): Promise<Row[]> {
  const [ours, bare] = [await sides.ours(), await sides.bare()]
  try {
    for (let round = 0; round < WARM_UPS; round++) {
      await load(ours, MAILS)
      await load(bare, MAILS)
    }
    const rows: Row[] = []
    for (const rival of rivals) {
      const theirs = await sides.theirs(rival)
      try {
        rows.push(...(await against(rival, `${plugin}, ${name}`, { ours, bare, theirs }, load)))
      } finally {
        await theirs.stop()
      }
    }
    return rows
  } finally {
    await Promise.all([ours.stop(), bare.stop()])
  }
}

async function against(
  { peer, mails, wanted }: Rival,
  title: string,
  { ours, bare, theirs }: Readonly<Record<keyof Sides, Haraka>>,
  load: Load,
): Promise<Row[]> {
  /** Of the processor, for a mail, in the last round. */
  const time = new Map<Haraka, number>()
  const measure = async (haraka: Haraka, count: number): Promise<number> => {
    const daemon = haraka === theirs ? peer.daemon?.() : undefined
    const before = processorMs(haraka, daemon)
    const figure = await load(haraka, count)
    time.set(haraka, (processorMs(haraka, daemon) - before) / count)
    return figure
  }
  const result = await sideBySide(
    ROUNDS,
    () => measure(ours, MAILS),
    () => measure(theirs, mails),
  )
  const most = await sideBySide(
    ROUNDS,
    () => measure(bare, MAILS),
    () => measure(theirs, mails),
  )
  const [oursMs = 0, bareMs = 0, theirsMs = 0] = [ours, bare, theirs].map((one) => time.get(one))
  const filter = `a filter that starts \`${peer.name}\`${peer.note ?? ''}`
  return [
    {
      name: `${title}: 10 KB mails accepted, against ${filter}`,
      value: result.ours,
      unit: 'mails/s',
      ratio: result.ratio,
      ...(wanted !== undefined && { target: { least: wanted } }),
    },
    {
      name: `${title}: the same Haraka without any cryptography, against that filter`,
      value: most.ours,
      unit: 'mails/s',
      ratio: most.ratio,
    },
    {
      name: `${title}: the processor’s time for a mail, against that filter’s`,
      value: oursMs,
      unit: 'ms',
      ratio: oursMs / theirsMs,
    },
    {
      name: `${title}: of that, what is not Haraka’s, against that filter’s`,
      value: oursMs - bareMs,
      unit: 'ms',
      ratio: (oursMs - bareMs) / (theirsMs - bareMs),
    },
  ]
}

const TICK_MS = 10 // Linux: USER_HZ is 100

/** Of the process that handles mail with its threads, of those that it has started and that have ended, and of a daemon. */
function processorMs({ process }: Haraka, daemon: number | undefined): number {
  const children = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'latin1')
  const pids = children.trim().split(' ').filter(Boolean).map(Number)
  return [process.pid!, ...pids, ...(daemon === undefined ? [] : [daemon])].reduce((sum, pid) => {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return sum + fields.slice(11, 15).reduce((all, field) => all + Number(field), 0) * TICK_MS
  }, 0)
}
