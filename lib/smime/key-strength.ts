// Which public keys are good enough, and not so long that using them is an attack: RFC 8551 section 4.
import type { KeyObject } from 'node:crypto'

const RSA_MIN_BITS = 2048
const RSA_MAX_BITS = 8192
const RSA_MAX_EXPONENT = 2n ** 33n
const CURVES: readonly (string | undefined)[] = ['prime256v1', 'secp384r1', 'secp521r1']
const EDWARDS = 'ed25519'

/** undefined: nothing is wrong with it. */
export function keyProblem({
  asymmetricKeyType: type,
  asymmetricKeyDetails: details = {},
}: KeyObject): string | undefined {
  if (type === 'rsa' || type === 'rsa-pss') return rsaProblem(details)
  // A curve that is written out has no name.
  if (type === 'ec')
    return CURVES.includes(details.namedCurve) ? undefined : 'has a key on another curve'
  return type === EDWARDS ? undefined : `has a key of the type ${type}`
}

function rsaProblem({
  modulusLength = 0,
  publicExponent = 0n,
}: NonNullable<KeyObject['asymmetricKeyDetails']>): string | undefined {
  if (modulusLength < RSA_MIN_BITS || modulusLength > RSA_MAX_BITS)
    return `has an RSA key of ${modulusLength} bits`
  const isUsual =
    publicExponent >= 3n && publicExponent < RSA_MAX_EXPONENT && publicExponent % 2n === 1n
  return isUsual ? undefined : 'has an RSA key with an exponent that nobody uses'
}
