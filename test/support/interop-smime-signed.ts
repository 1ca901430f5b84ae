// What works with other S/MIME programs for signatures, and for what our own CA makes: test/interop/smime-signed.test.ts
// holds it true.
import type { InteropRow } from './interop-matrix.ts'
import { SMIME_KEYS, SMIME_PEERS, type SmimePeerName } from './interop-smime.ts'

export const SIGNED_TO = {
  detached: 'a detached signature, under a certificate of our own CA',
  opaque: 'an opaque signature, under a certificate of our own CA',
  changed: 'a detached signature, one changed octet: it is bad',
  chain: 'certificates of our own CA, and its list of revoked ones',
  pkcs12: 'PKCS #12 of our own CA (AES-256, HMAC-SHA-256)',
  oldPkcs12: 'PKCS #12 of our own CA, made over into triple DES by `openssl pkcs12`',
} as const

export const SIGNED_FROM = {
  detached: 'a detached signature',
  opaque: 'an opaque signature',
  pss: 'RSASSA-PSS with SHA-384',
  weak: 'SHA-1: it is bad',
} as const

function to(
  peer: SmimePeerName,
  feature: keyof typeof SIGNED_TO,
  key: string,
  result = 'yes',
): InteropRow {
  const version = SMIME_PEERS[peer]
  const direction = 'to the peer'
  return { scheme: 'smime', peer, version, key, direction, feature: SIGNED_TO[feature], result }
}

function from(
  peer: SmimePeerName,
  feature: keyof typeof SIGNED_FROM,
  key: string,
  result = 'yes',
): InteropRow {
  const version = SMIME_PEERS[peer]
  const direction = 'from the peer'
  return { scheme: 'smime', peer, version, key, direction, feature: SIGNED_FROM[feature], result }
}

export const SMIME_SIGNED_ROWS: readonly InteropRow[] = [
  ...SMIME_KEYS.flatMap((key) => [
    to('openssl cms', 'detached', key),
    to('openssl cms', 'opaque', key),
    to('openssl cms', 'changed', key),
    to('openssl cms', 'chain', key),
    to('openssl cms', 'pkcs12', key),
    from('openssl cms', 'detached', key),
    from('openssl cms', 'opaque', key),
    to('gpgsm', 'detached', key),
    to('gpgsm', 'opaque', key),
    to('gpgsm', 'changed', key),
    to('gpgsm', 'pkcs12', key, 'no: of PKCS #12 it knows the ciphers of twenty years ago'),
  ]),
  from('openssl cms', 'pss', 'RSA-3072'),
  from('openssl cms', 'weak', 'RSA-3072'),
  to('gpgsm', 'oldPkcs12', 'RSA-3072'),
  from('gpgsm', 'opaque', 'RSA-3072'),
]
