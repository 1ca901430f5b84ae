// A signature's result in words that other programs read: Authentication-Results, RFC 8601 section 2.2.
import type { ContentSignature } from './scheme.ts'
import type { SignatureResult } from './signature.ts'

/** Ours, and not registered: hence `x-`. RFC 8601 section 2.7.7. */
const IBE_METHOD = 'x-ibe-sig'

/** Whose address it is, in the words of each method: for S/MIME those of RFC 7281 section 3.1. */
const IDENTIFIER = {
  smime: 'body.smime-identifier',
  'x-openpgp': 'body.openpgp-identifier',
} as const

/** `x-ibe-sig=fail reason="body changed" header.d=a.example header.i=alice@a.example` */
export function formatAuthResult(result: SignatureResult): string {
  const parts = [statusText(IBE_METHOD, result)]
  if ('domain' in result && result.domain !== undefined) parts.push(`header.d=${result.domain}`)
  if ('identity' in result && result.identity !== undefined)
    parts.push(`header.i=${pvalue(result.identity)}`)
  return parts.join(' ')
}

/** `smime=pass body.smime-identifier=alice@a.example` */
export function formatContentResult({ method, result }: ContentSignature): string {
  const parts = [statusText(method, result)]
  if ('identity' in result && result.identity !== undefined)
    parts.push(`${IDENTIFIER[method]}=${pvalue(result.identity)}`)
  return parts.join(' ')
}

function statusText(method: string, result: SignatureResult): string {
  const status = `${method}=${result.status}`
  return 'reason' in result ? `${status} reason=${quoted(result.reason)}` : status
}

/** `fail; d=a.example; reason="body changed"`, for a field of our own. */
export function formatMark(result: SignatureResult, method?: ContentSignature['method']): string {
  const domain = 'domain' in result ? result.domain : undefined
  const parts = [result.status as string]
  if (method !== undefined) parts.push(`method=${method}`)
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
