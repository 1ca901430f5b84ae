// Gateways that sign and verify, against the same ones that do not.
import {
  capture,
  gauge,
  MAILS,
  message,
  pause,
  rate,
  resetGauge,
  ROUNDS,
  start,
  WARM_UPS,
  type Bench,
} from './gateway.ts'
import { sideBySide, type Row } from './report.ts'

export async function benchSign(bench: Bench): Promise<Row[]> {
  const chain = ['auth/flat_file', 'rcpt_to.in_host_list', 'gauge']
  const ours = await start(bench, 'a', [...chain, 'hisho/sign', 'hisho/encrypt'])
  const bare = await start(bench, 'a', [...chain, 'hisho/encrypt'])
  try {
    const bytes = message('bob@b.example', 10_240)
    const same = () => ({ to: 'bob@b.example', bytes })
    await rate(ours, MAILS, same, true)
    await resetGauge(ours)
    const signing = await sideBySide(
      ROUNDS,
      () => rate(ours, MAILS, same, true),
      () => rate(bare, MAILS, same, true),
      WARM_UPS,
    )
    await pause(300)
    return [
      {
        name: 'hisho/sign and hisho/encrypt: 10 KB mails accepted and queued, against encrypt alone',
        value: signing.ours,
        unit: 'mails/s',
        ratio: signing.ratio,
        target: { least: 0.9 },
      },
      {
        name: 'hisho/sign: event loop delay under that load, p99',
        value: gauge(ours).p99,
        unit: 'ms',
        target: { most: 20 },
      },
    ]
  } finally {
    await Promise.all([ours.stop(), bare.stop()])
  }
}

export async function benchVerify(bench: Bench): Promise<Row[]> {
  const chain = ['rcpt_to.in_host_list', 'gauge', 'hisho/decrypt']
  const ours = await start(bench, 'b', [...chain, 'hisho/verify', 'queue/discard'])
  const bare = await start(bench, 'b', [...chain, 'queue/discard'])
  try {
    const signing = ['auth/flat_file', 'hisho/sign', 'queue/smtp_forward']
    const [bytes] = await capture(bench, signing, ['bob@b.example'], 10_240)
    const same = () => ({ to: 'bob@b.example', bytes: bytes! })
    await rate(ours, MAILS, same, false)
    await rate(bare, MAILS, same, false)
    await Promise.all([resetGauge(ours), resetGauge(bare)])
    const verifying = await sideBySide(
      ROUNDS,
      () => rate(ours, MAILS, same, false),
      () => rate(bare, MAILS, same, false),
      WARM_UPS,
    )
    await pause(300)
    return [
      {
        name: 'hisho/verify: signed 10 KB mails in clear accepted, against decrypt alone, which does not read them',
        value: verifying.ours,
        unit: 'mails/s',
        ratio: verifying.ratio,
      },
      {
        name: 'hisho/verify: event loop delay under that load, p99',
        value: gauge(ours).p99,
        unit: 'ms',
        target: { most: 20 },
      },
      { name: 'the same without hisho/verify', value: gauge(bare).p99, unit: 'ms' },
    ]
  } finally {
    await Promise.all([ours.stop(), bare.stop()])
  }
}
