// What works with other S/MIME programs: test/interop/smime.test.ts holds it true.
import type { InteropRow } from './interop-matrix.ts'

export const SMIME_KEYS = ['RSA-3072', 'P-256', 'P-384'] as const
export type SmimeKeyName = (typeof SMIME_KEYS)[number]

/** Those of Debian 12. */
export const SMIME_PEERS = { 'openssl cms': '3.0', gpgsm: '2.2.40' } as const
export type SmimePeerName = keyof typeof SMIME_PEERS

export const ALL_KEYS = SMIME_KEYS.join(' + ')

export const TO_THE_PEER = {
  compat: '`compat` (AES-256-CBC): signed and encrypted, UTF-8 and 8-bit',
  modern: '`modern` (AES-256-GCM, RSA-OAEP): signed and encrypted, UTF-8 and 8-bit',
  several: '`compat`, one message for three recipients',
  severalModern: '`modern`, one message for three recipients',
  wrongKey: '`modern`, another key does not open it',
  tampered: '`modern`, one changed octet: it does not open',
  large: '`compat`, a message of 26 MB',
} as const

export const FROM_THE_PEER = {
  cbc: 'AES-256-CBC: signed and encrypted, UTF-8 and 8-bit',
  gcm: 'AES-256-GCM: signed and encrypted, UTF-8 and 8-bit',
  oaep: 'RSA-OAEP with SHA-256 and with SHA-1',
  several: 'one message for three recipients',
  opaque: 'signed inside in the opaque form',
  stream: 'in pieces of indefinite length, a message of 26 MB',
  keyIdentifier: 'recipients named by the identifier of their key',
  tripleDes: 'triple DES: only with `legacy: true`, and marked',
  wrongKey: 'another key does not open it',
  tampered: 'AES-256-GCM, one changed octet: it does not open',
} as const

type To = keyof typeof TO_THE_PEER
type From = keyof typeof FROM_THE_PEER

const NO_MODERN = 'no: it reads neither AES-GCM nor RSA-OAEP'
const NO_EC_SECRET = 'no: it does not take the secret key of an EC certificate'
const NO_EC = 'no: it does not encrypt for an EC certificate'

function to(peer: SmimePeerName, feature: To, key: string, result = 'yes'): InteropRow {
  const version = SMIME_PEERS[peer]
  const direction = 'to the peer'
  return { scheme: 'smime', peer, version, key, direction, feature: TO_THE_PEER[feature], result }
}

function from(peer: SmimePeerName, feature: From, key: string, result = 'yes'): InteropRow {
  const version = SMIME_PEERS[peer]
  const direction = 'from the peer'
  return { scheme: 'smime', peer, version, key, direction, feature: FROM_THE_PEER[feature], result }
}

export const SMIME_ROWS: readonly InteropRow[] = [
  ...SMIME_KEYS.map((key) => to('openssl cms', 'compat', key)),
  ...SMIME_KEYS.map((key) => to('openssl cms', 'modern', key)),
  to('openssl cms', 'several', ALL_KEYS),
  to('openssl cms', 'severalModern', ALL_KEYS),
  to('openssl cms', 'wrongKey', 'P-256'),
  to('openssl cms', 'tampered', 'P-256'),
  to('openssl cms', 'large', 'P-256'),
  ...SMIME_KEYS.map((key) => from('openssl cms', 'cbc', key)),
  ...SMIME_KEYS.map((key) => from('openssl cms', 'gcm', key)),
  from('openssl cms', 'oaep', 'RSA-3072'),
  from('openssl cms', 'several', ALL_KEYS),
  from('openssl cms', 'opaque', 'P-256'),
  from('openssl cms', 'stream', 'P-256'),
  ...SMIME_KEYS.map((key) => from('openssl cms', 'keyIdentifier', key)),
  from('openssl cms', 'tripleDes', 'RSA-3072'),
  from('openssl cms', 'wrongKey', 'P-256'),
  from('openssl cms', 'tampered', 'P-256'),
  to('gpgsm', 'compat', 'RSA-3072'),
  to('gpgsm', 'compat', 'P-256', NO_EC_SECRET),
  to('gpgsm', 'compat', 'P-384', NO_EC_SECRET),
  to('gpgsm', 'several', ALL_KEYS, 'yes, with the key for RSA'),
  to('gpgsm', 'modern', 'RSA-3072', NO_MODERN),
  from('gpgsm', 'cbc', 'RSA-3072'),
  from('gpgsm', 'cbc', 'P-256', NO_EC),
  from('gpgsm', 'cbc', 'P-384', NO_EC),
]
