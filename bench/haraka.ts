// Whole gateways under load, against the same Haraka without us.
import { startDnsServer } from '../test/support/dns-server.ts'
import { startHaraka, type Haraka } from '../test/support/haraka.ts'
import { makeSite, PASSWORD, siteEnvironment, siteFiles, USER } from '../test/support/site.ts'
import { submit } from '../test/support/smtp-client.ts'
import { startSink } from '../test/support/smtp-sink.ts'
import {
  capture,
  COLD_MAILS,
  gauge,
  MAILS,
  message,
  openingRate,
  pause,
  rate,
  resetGauge,
  ROUNDS,
  start,
  WARM_UPS,
  type Bench,
} from './gateway.ts'
import { benchSign, benchVerify } from './signed-mail.ts'
import { sideBySide, type Row } from './report.ts'

const ENCRYPT = ['auth/flat_file', 'hisho/encrypt', 'queue/smtp_forward']

export async function benchHaraka(): Promise<Row[]> {
  const [keysA, keysB] = await Promise.all([makeSite('a.example'), makeSite('b.example')])
  const dns = await startDnsServer({
    '_ibemailkey.a.example': { TXT: keysA.records, ttl: 3600 },
    '_ibemailkey.b.example': { TXT: keysB.records, ttl: 3600 },
  })
  const bench = { dns, keysA, keysB }
  try {
    return [
      ...(await benchEncrypt(bench)),
      ...(await benchSign(bench)),
      ...(await benchDelivery(bench)),
      ...(await benchDecrypt(bench)),
      ...(await benchVerify(bench)),
      ...(await benchLargeMessage(bench)),
    ]
  } finally {
    await dns.close()
  }
}

async function benchEncrypt(bench: Bench): Promise<Row[]> {
  const chain = ['auth/flat_file', 'rcpt_to.in_host_list', 'gauge']
  const ours = await start(bench, 'a', [...chain, 'hisho/encrypt'])
  const bare = await start(bench, 'a', chain)
  try {
    const bytes = message('bob@b.example', 10_240)
    const same = () => ({ to: 'bob@b.example', bytes })
    const queueing = await sideBySide(
      ROUNDS,
      () => rate(ours, MAILS, same, true),
      () => rate(bare, MAILS, same, true),
      WARM_UPS,
    )
    await resetGauge(ours)
    const cold = await rate(
      ours,
      COLD_MAILS,
      (at) => ({ to: `user${at}@b.example`, bytes: message(`user${at}@b.example`, 10_240) }),
      true,
    )
    await pause(300)
    return [
      {
        name: 'hisho/encrypt: 10 KB mails accepted and queued, against no hisho',
        value: queueing.ours,
        unit: 'mails/s',
        ratio: queueing.ratio,
        target: { least: 0.7 },
      },
      { name: 'hisho/encrypt: each mail to a new identity', value: cold, unit: 'mails/s' },
      {
        name: 'hisho/encrypt: event loop delay under that load, p99',
        value: gauge(ours).p99,
        unit: 'ms',
        target: { most: 20 },
      },
    ]
  } finally {
    await Promise.all([ours.stop(), bare.stop()])
  }
}

/** As `benchEncrypt`, with what a mail server does at the same time: the queue is delivered to the next server. */
async function benchDelivery(bench: Bench): Promise<Row[]> {
  const sink = await startSink()
  const chain = ['auth/flat_file', 'rcpt_to.in_host_list']
  const files = (plugins: readonly string[]) => ({
    ...siteFiles({
      domain: 'a.example',
      keys: bench.keysA,
      dnsPort: bench.dns.port,
      mailbox: 1,
      routes: { 'b.example': sink.port },
      plugins: [...chain, ...plugins, 'queue/smtp_forward'],
    }),
    'config/loglevel': 'ERROR\n',
  })
  const environment = siteEnvironment(bench.keysA)
  const ours = await startHaraka({ environment, files: files(['hisho/encrypt']) })
  const bare = await startHaraka({ environment, files: files([]) })
  const bytes = message('bob@b.example', 10_240)
  /** Until the last of them is delivered. */
  const through = async (haraka: Haraka): Promise<number> => {
    sink.clear()
    const start = performance.now()
    await rate(haraka, MAILS, () => ({ to: 'bob@b.example', bytes }), true)
    await sink.waitFor(MAILS, 120_000)
    return MAILS / ((performance.now() - start) / 1000)
  }
  try {
    const delivery = await sideBySide(
      ROUNDS,
      () => through(ours),
      () => through(bare),
      WARM_UPS,
    )
    return [
      {
        name: 'hisho/encrypt: the same, until each is delivered to the next server',
        value: delivery.ours,
        unit: 'mails/s',
        ratio: delivery.ratio,
      },
    ]
  } finally {
    await Promise.all([ours.stop(), bare.stop()])
    await sink.close()
  }
}

async function benchDecrypt(bench: Bench): Promise<Row[]> {
  const chain = ['rcpt_to.in_host_list', 'gauge']
  const ours = await start(bench, 'b', [...chain, 'hisho/decrypt', 'queue/discard'])
  const bare = await start(bench, 'b', [...chain, 'rewrite', 'queue/discard'])
  try {
    const bob = 'bob@b.example'
    const mails = await capture(bench, ENCRYPT, Array<string>(MAILS).fill(bob), 10_240)
    const opening = await sideBySide(
      ROUNDS,
      () => openingRate(ours, bob, mails),
      () => openingRate(bare, bob, mails),
      WARM_UPS,
    )
    const names = Array.from({ length: 100 }, (_, at) => `cold${at}@b.example`)
    const cold = await capture(bench, ENCRYPT, names, 10_240)
    await resetGauge(ours)
    const rateOfCold = await rate(
      ours,
      names.length,
      (at) => ({ to: names[at]!, bytes: cold[at]! }),
      false,
    )
    await pause(300)
    return [
      {
        name: 'hisho/decrypt: 10 KB mails accepted, against reading and rewriting without crypto',
        value: opening.ours,
        unit: 'mails/s',
        ratio: opening.ratio,
        target: { least: 0.6 },
      },
      { name: 'hisho/decrypt: each mail for a new identity', value: rateOfCold, unit: 'mails/s' },
      {
        name: 'hisho/decrypt: event loop delay under that load, p99',
        value: gauge(ours).p99,
        unit: 'ms',
        target: { most: 20 },
      },
    ]
  } finally {
    await Promise.all([ours.stop(), bare.stop()])
  }
}

async function benchLargeMessage(bench: Bench): Promise<Row[]> {
  const sizeBytes = 25 * 1024 * 1024
  const encrypt = await start(bench, 'a', [
    'auth/flat_file',
    'rcpt_to.in_host_list',
    'gauge',
    'hisho/encrypt',
  ])
  const decrypt = await start(bench, 'b', [
    'rcpt_to.in_host_list',
    'gauge',
    'hisho/decrypt',
    'queue/discard',
  ])
  try {
    const [sealed] = await capture(bench, ENCRYPT, ['bob@b.example'], sizeBytes)
    const small = message('bob@b.example', 10_240)
    await rate(encrypt, 100, () => ({ to: 'bob@b.example', bytes: small }), true)
    await resetGauge(encrypt)
    const beforeEncrypt = gauge(encrypt).rss
    await submit({
      port: encrypt.port,
      from: 'alice@a.example',
      to: ['bob@b.example'],
      message: message('bob@b.example', sizeBytes),
      user: USER,
      password: PASSWORD,
    })
    await resetGauge(decrypt)
    const beforeDecrypt = gauge(decrypt).rss
    await submit({
      port: decrypt.port,
      from: 'alice@a.example',
      to: ['bob@b.example'],
      message: sealed!,
    })
    await pause(300)
    return [
      {
        name: 'hisho/encrypt: memory for one message of 25 MB',
        value: (gauge(encrypt).peak - beforeEncrypt) / 1e6,
        unit: 'MB',
        target: { most: 150 },
      },
      {
        name: 'hisho/decrypt: memory for one message of 25 MB',
        value: (gauge(decrypt).peak - beforeDecrypt) / 1e6,
        unit: 'MB',
        target: { most: 150 },
      },
    ]
  } finally {
    await Promise.all([encrypt.stop(), decrypt.stop()])
  }
}
