// What can be wrong with a CMS message. RFC 5652, 5083.
import { PermError } from '../../errors.ts'

/** Its structure is not what the standard says, or beyond our limits. */
export function malformed(what: string): PermError {
  return new PermError('mail/malformed', `CMS: ${what}`)
}

/** An algorithm or a form that we do not take, which anybody can see from outside. */
export function unsupported(what: string): PermError {
  return new PermError('crypto/unsupported', `CMS: ${what}`)
}

/** One text for whatever goes wrong once a secret key is in use: more would be an oracle, RFC 3218 section 2.3. */
export function undecryptable(): PermError {
  return new PermError('smime/decrypt', 'it does not open with our key')
}
