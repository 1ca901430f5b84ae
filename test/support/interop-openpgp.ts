// What works with other OpenPGP programs: test/interop/openpgp.test.ts holds it true.
import type { InteropRow } from './interop-matrix.ts'

export const OPENPGP_KEYS = ['RSA-3072', 'P-256', 'P-384', 'curve25519'] as const

/** Those of Debian 12. */
export const OPENPGP_PEERS = {
  gpg: '2.2.40',
  sqop: '0.27.3',
  gosop: '0.0~git20221115',
  'pgpainless-cli': '1.3.16',
  rnp: '0.16.3',
} as const

export type OpenPgpPeerName = keyof typeof OPENPGP_PEERS
export const OPENPGP_PEER_NAMES: readonly OpenPgpPeerName[] = [
  'gpg',
  'sqop',
  'gosop',
  'pgpainless-cli',
  'rnp',
]

export const OPENPGP_FEATURES = {
  mail: 'signed and encrypted, for two recipients, UTF-8',
  bytes: '8-bit text, a NUL and a bare line end',
  wrongKey: 'another key does not open it',
  tampered: 'one changed octet: it does not open',
  large: 'a message of 26 MB',
  v6: 'signed and encrypted by a key of RFC 9580',
} as const

type Feature = keyof typeof OPENPGP_FEATURES

const NO_CR = 'no: it drops every CR, and what is not UTF-8'

function resultOf(
  peer: OpenPgpPeerName,
  direction: InteropRow['direction'],
  feature: Feature,
): string {
  if (feature === 'v6') return 'no: it does not know the new version of keys'
  if (direction === 'to the peer' && peer === 'gosop' && feature === 'bytes') return NO_CR
  if (direction === 'to the peer' && peer === 'gosop' && feature === 'mail')
    return 'yes, but it drops every CR'
  return 'yes'
}

function rowsOf(peer: OpenPgpPeerName, direction: InteropRow['direction']): InteropRow[] {
  const row = (feature: Feature, key: string): InteropRow => ({
    scheme: 'openpgp',
    peer,
    version: OPENPGP_PEERS[peer],
    key,
    direction,
    feature: OPENPGP_FEATURES[feature],
    result: resultOf(peer, direction, feature),
  })
  return [
    ...OPENPGP_KEYS.map((key) => row('mail', key)),
    ...(['bytes', 'wrongKey', 'tampered'] as const).map((feature) => row(feature, 'curve25519')),
    ...(peer === 'gpg' ? [row('large', 'curve25519')] : []),
    ...(direction === 'to the peer' ? [row('v6', 'X25519')] : []),
  ]
}

export const OPENPGP_ROWS: readonly InteropRow[] = OPENPGP_PEER_NAMES.flatMap((peer) => [
  ...rowsOf(peer, 'to the peer'),
  ...rowsOf(peer, 'from the peer'),
])
