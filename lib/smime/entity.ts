// The MIME entity inside of an encrypted message: taken out of what was signed and compressed around it, its signatures
// checked. In the workers. RFC 8551 section 3.
import { PermError } from '../errors.ts'
import { decodeBase64, isInBase64 } from '../mail/base64-body.ts'
import type { Field } from '../mail/header.ts'
import { piecesOf } from '../mail/large-bytes.ts'
import { bodyStart, closeBody, collect, readMessage, type Message } from '../mail/message.ts'
import { smimeContentOf, type SmimeContent } from '../mail/smime-content.ts'
import { twoPartsIn } from '../mail/two-parts.ts'
import { decompress } from './cms/compressed-data.ts'
import type { KeyReader } from './cms/key-cache.ts'
import { COMPRESSION_LIMITS, MOST_WRAPPINGS } from './limits.ts'
import { isMultipartSigned } from './mime.ts'
import { checkSignatures, type SignatureCheck } from './signed/check.ts'

export interface UnwrappedEntity {
  /** The innermost: what was signed, where anything was. */
  readonly entity: Uint8Array
  /** undefined: nobody has signed it. */
  readonly check: SignatureCheck | undefined
}

/** One signature, over all of it: what stands inside of a signed entity that is signed again is left as it is. */
export async function unwrapEntity(bytes: Uint8Array, keys: KeyReader): Promise<UnwrappedEntity> {
  let entity = bytes
  let check: SignatureCheck | undefined
  for (let wrappings = 0; wrappings < MOST_WRAPPINGS; wrappings++) {
    const inner = await unwrapOnce(entity, check === undefined, keys)
    if (!inner) break
    entity = inner.entity
    check ??= inner.check
  }
  return { entity, check }
}

/** undefined: there is nothing around it. */
async function unwrapOnce(
  bytes: Uint8Array,
  mayBeSigned: boolean,
  keys: KeyReader,
): Promise<UnwrappedEntity | undefined> {
  const message = await readMessage(piecesOf(bytes))
  await closeBody(message)
  const start = bodyStart(message)
  if (mayBeSigned && isMultipartSigned(message.fields))
    return unwrapMultipart(message.fields, bytes, start, keys)
  const body = bytes.subarray(start)
  const kind = smimeContentOf(message.fields, body)
  if (kind === undefined || kind === 'enveloped' || (kind === 'signed' && !mayBeSigned))
    return undefined
  return unwrapOpaque(kind, await decoded(message, body), bytes, keys)
}

async function unwrapMultipart(
  fields: readonly Field[],
  bytes: Uint8Array,
  start: number,
  keys: KeyReader,
): Promise<UnwrappedEntity> {
  try {
    const lineEnd = Math.min(2, start)
    const [content, signature] = twoPartsIn(fields, bytes.subarray(start - lineEnd))
    const cms = await decoded(signature, signature.body)
    const check = checkSignatures(cms, content.raw, keys)
    return { entity: content.raw, check }
  } catch (error) {
    if (!(error instanceof PermError)) throw error
    return { entity: bytes, check: { status: 'bad', reason: error.message } }
  }
}

/** What is damaged stays as it is, for its reader to see. */
function unwrapOpaque(
  kind: Exclude<SmimeContent, 'enveloped'>,
  cms: Uint8Array,
  bytes: Uint8Array,
  keys: KeyReader,
): UnwrappedEntity {
  if (kind === 'compressed')
    return { entity: decompress(cms, COMPRESSION_LIMITS), check: undefined }
  const check = checkSignatures(cms, undefined, keys)
  if (check.status !== 'intact') return { entity: bytes, check }
  // Once is enough.
  return { entity: check.content ?? bytes, check: { ...check, content: undefined } }
}

/** A body without its transfer encoding. */
export async function decoded(
  { fields }: Pick<Message, 'fields'>,
  body: Uint8Array,
): Promise<Uint8Array> {
  return isInBase64(fields) ? collect(decodeBase64(pieces(body))) : body
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield* piecesOf(bytes)
}
