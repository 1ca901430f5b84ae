// The MIME forms of S/MIME: RFC 8551 section 3.
import { base64Of, decodeBase64, isInBase64 } from '../mail/base64-body.ts'
import type { PermError } from '../errors.ts'
import { formatField, type Field } from '../mail/header.ts'
import { collectWithin, release } from '../mail/large-bytes.ts'
import { closeBody, type Message } from '../mail/message.ts'
import { malformed } from '../mail/part-reader.ts'
import { outerFields } from '../mail/protected-header.ts'
import { hasProtocol } from '../mail/two-parts.ts'
import type { Profile } from './cms/seal.ts'
import { LARGEST_MESSAGE_BYTES } from './limits.ts'

const SIGNATURE_TYPES = ['application/pkcs7-signature', 'application/x-pkcs7-signature']

/** RFC 8551 section 3.5.3. */
export function isMultipartSigned(fields: readonly Field[]): boolean {
  return SIGNATURE_TYPES.some((type) => hasProtocol(fields, 'multipart/signed', type))
}

const SMIME_TYPE: Readonly<Record<Profile, string>> = {
  compat: 'enveloped-data',
  modern: 'authEnveloped-data',
}

/** RFC 8551 sections 3.3 and 3.4. Failures come while the body is read. */
export function formatEncrypted(
  original: readonly Field[],
  profile: Profile,
  ciphertext: () => Promise<readonly Uint8Array[]>,
): Message {
  return {
    fields: [
      ...outerFields(original),
      formatField(
        'Content-Type',
        `application/pkcs7-mime; smime-type=${SMIME_TYPE[profile]};\r\n name="smime.p7m"`,
      ),
      formatField('Content-Transfer-Encoding', 'base64'),
      formatField('Content-Disposition', 'attachment; filename="smime.p7m"'),
    ],
    separator: new TextEncoder().encode('\r\n'),
    body: formatBody(ciphertext),
  }
}

async function* formatBody(
  ciphertext: () => Promise<readonly Uint8Array[]>,
): AsyncGenerator<Uint8Array> {
  const pieces = await ciphertext()
  yield* base64Of(pieces)
  pieces.forEach(release)
}

/** What stands around an entity with its signature, RFC 8551 section 3.5.3.2. `boundary` must be fresh. */
export function aroundSigned(
  { cms, digest }: { readonly cms: Uint8Array; readonly digest: string },
  boundary: string,
): { readonly before: Uint8Array; readonly after: Uint8Array } {
  const text = new TextEncoder()
  const micalg = digest.replace('sha', 'sha-')
  const lines =
    Buffer.from(cms)
      .toString('base64')
      .match(/.{1,76}/g) ?? []
  return {
    before: text.encode(
      `Content-Type: multipart/signed; protocol="application/pkcs7-signature";\r\n micalg=${micalg}; ` +
        `boundary="${boundary}"\r\n\r\n--${boundary}\r\n`,
    ),
    after: text.encode(
      `\r\n--${boundary}\r\nContent-Type: application/pkcs7-signature; name="smime.p7s"\r\n` +
        `Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename="smime.p7s"\r\n\r\n` +
        `${lines.join('\r\n')}\r\n--${boundary}--\r\n`,
    ),
  }
}

/** The CMS message that a body is, in base64 or without any encoding. PermError mail/malformed. */
export async function readCms(message: Message): Promise<Uint8Array> {
  const source = isInBase64(message.fields) ? decodeBase64(message.body) : message.body
  const tooLong = (): PermError => malformed(`longer than ${LARGEST_MESSAGE_BYTES} octets`)
  try {
    return await collectWithin(source, LARGEST_MESSAGE_BYTES, tooLong)
  } finally {
    await closeBody(message)
  }
}
