// What works with Debian's age: test/interop/age.test.ts holds it true.
import type { InteropRow } from './interop-matrix.ts'

export const AGE_FEATURES = {
  mail: 'a mail of hisho, for two recipients, UTF-8 and 8-bit',
  large: 'a message of 26 MB',
  wrongKey: 'another key does not open it',
  tampered: 'one changed octet: it does not open',
  hybrid: 'recipients against quantum computers (`age1pq1...`)',
} as const

export type AgeFeature = keyof typeof AGE_FEATURES

const row = (
  direction: InteropRow['direction'],
  feature: AgeFeature,
  result = 'yes',
  key = 'X25519',
): InteropRow => ({
  scheme: 'age',
  peer: 'age',
  version: '1.1.1',
  key,
  direction,
  feature: AGE_FEATURES[feature],
  result,
})

export const AGE_ROWS: readonly InteropRow[] = [
  ...(['to the peer', 'from the peer'] as const).flatMap((direction) =>
    (['mail', 'large', 'wrongKey', 'tampered'] as const).map((feature) => row(direction, feature)),
  ),
  row('to the peer', 'hybrid', 'no: age knows them since 1.3', 'ML-KEM-768 with X25519'),
]
