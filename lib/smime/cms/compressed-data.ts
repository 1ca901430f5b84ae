// CompressedData: RFC 3274. Read only, and no further than its limits.
import { inflateSync } from 'node:zlib'
import { readObjectIdentifier } from '../../x509/der.ts'
import { OID, readAlgorithm } from './algorithm.ts'
import { expectTag, octets, readBer, smallInteger, TAG } from './ber.ts'
import { malformed, unsupported } from './cms-error.ts'

export interface CompressionLimits {
  readonly bytes: number
  /** How many times as long it may become. */
  readonly ratio: number
}

/** The content of a CMS message. PermError mail/malformed, or crypto/unsupported. */
export function decompress(bytes: Uint8Array, limits: CompressionLimits): Uint8Array {
  const [type, wrapper] = expectTag(readBer(bytes), TAG.sequence).children
  if (readObjectIdentifier(type) !== OID.compressedData) throw malformed('not compressed')
  const [data] = expectTag(wrapper, 0xa0).children
  const [version, algorithm, encapsulated] = expectTag(data, TAG.sequence).children
  smallInteger(version)
  const { id } = readAlgorithm(algorithm)
  if (id !== OID.zlib) throw unsupported(`compressed with ${id}`)
  const [contentType, content] = expectTag(encapsulated, TAG.sequence).children
  if (readObjectIdentifier(contentType) !== OID.data) throw unsupported('no data in it')
  const compressed = octets(expectTag(content, 0xa0).children[0])
  const maxOutputLength = Math.min(limits.bytes, compressed.length * limits.ratio)
  try {
    return inflateSync(compressed, { maxOutputLength: Math.max(maxOutputLength, 1) })
  } catch {
    throw malformed('compressed, and damaged or beyond the limits')
  }
}
