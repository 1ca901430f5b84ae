// A signature's result in words that other programs read: Authentication-Results, RFC 8601 section 2.2.
import type { SignatureResult } from './signature.ts'

/** The method's name, not registered: hence `x-`. RFC 8601 section 2.7.7. */
const METHOD = 'x-ibe-sig'

/** `x-ibe-sig=fail reason="body changed" header.d=a.example header.i=alice@a.example` */
export function formatAuthResult(result: SignatureResult): string {
  const parts = [`${METHOD}=${result.status}`]
  if ('reason' in result) parts.push(`reason=${quoted(result.reason)}`)
  if ('domain' in result && result.domain !== undefined) parts.push(`header.d=${result.domain}`)
  if ('identity' in result && result.identity !== undefined)
    parts.push(`header.i=${pvalue(result.identity)}`)
  return parts.join(' ')
}

/** `fail; d=a.example; reason="body changed"`, for a field of our own. */
export function formatMark(result: SignatureResult): string {
  const domain = 'domain' in result ? result.domain : undefined
  const parts = [result.status as string]
  if (domain !== undefined) parts.push(`d=${domain}`)
  if ('reason' in result) parts.push(`reason=${quoted(result.reason)}`)
  return parts.join('; ')
}

/** RFC 8601 section 2.2: an address stands as it is if it is a dot-atom, all else as a quoted string. */
function pvalue(text: string): string {
  return /^[\w!#$%&'*+/?^`{|}~.-]+@[\w.-]+$/.test(text) ? text : quoted(text)
}

/** Printable ASCII in quotes; what is not as `?`. */
function quoted(text: string): string {
  return `"${text.replaceAll(/[^ -~]/g, '?').replaceAll(/["\\]/g, '\\$&')}"`
}
