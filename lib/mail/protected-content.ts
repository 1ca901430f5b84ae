// Whether a message is ciphertext already. The Content-Type alone is only a claim: the first bytes of the ciphertext
// itself are looked at too, so that mislabelled plaintext is not taken for protected.
import { contentTypeOf, type ContentType } from './content-type.ts'
import { isIbemail, startsAsIbemail } from './ibemail-encrypted.ts'
import { isEncryptedMessage } from './multipart-encrypted.ts'
import type { Message } from './message.ts'
import { smimeContentOf } from './smime-content.ts'

/** How many octets of the body `protectionOf` wants to see. */
export const PEEK_BYTES = 16 * 1024

export type Protection = 'hisho' | 'ibemail' | 'pgp-mime' | 's-mime'

/** `bodyStart` are the first PEEK_BYTES octets of the body, or all of it. undefined: not encrypted, as far as one can see. */
export function protectionOf(
  message: Pick<Message, 'fields'>,
  bodyStart: Uint8Array,
): Protection | undefined {
  const type = contentTypeOf(message.fields)
  if (!type) return undefined
  const text = Buffer.from(bodyStart).toString('latin1')
  if (isEncryptedMessage(message.fields)) {
    return FILE_STARTS.some((start) => text.includes(start)) ? 'hisho' : undefined
  }
  if (isIbemail(message.fields)) return startsAsIbemail(text) ? 'ibemail' : undefined
  if (isPgpMime(type)) return text.includes('-----BEGIN PGP MESSAGE-----') ? 'pgp-mime' : undefined
  // Opaque signatures (signed-data) are no encryption.
  return smimeContentOf(message.fields, bodyStart) === 'enveloped' ? 's-mime' : undefined
}

/** How the file begins, in base64: a multiple of three octets each, so that no letter depends on what follows. */
const FILE_STARTS = ['age-encryption.org/v1', 'hisho-encryption/v'].map((start) =>
  Buffer.from(start).toString('base64'),
)

/** RFC 3156 section 4. */
function isPgpMime(type: ContentType): boolean {
  return (
    type.type === 'multipart/encrypted' &&
    type.parameters.get('protocol')?.toLowerCase() === 'application/pgp-encrypted'
  )
}
