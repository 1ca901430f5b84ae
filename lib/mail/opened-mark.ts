// The fields that say what became of a message that came encrypted: docs/formats.md section 6. Nobody but us may write them.
import { fieldValue, formatField, formatQuoted, type Field } from './header.ts'
import type { ContentSignature } from './scheme.ts'
import { UNCHECKED } from './trace.ts'

/** One layer of encryption that was opened. */
export interface OpenedLayer {
  readonly description: string
  readonly integrity: 'ok' | 'unproven'
  /** Parts that would have run or loaded something say that they are text. */
  readonly activeContent?: 'text'
}

/** Why it was not, in words that tell neither key nor step. */
export type NotOpenedReason = 'closed' | 'policy' | 'replay' | 'limit'

/** From the outermost layer to the innermost; the signature is that of the innermost. Above all stands what was done last. */
export function formatOpened(
  layers: readonly OpenedLayer[],
  signature: ContentSignature | undefined,
): Field[] {
  const fields = layers.map(({ description, integrity, activeContent }, at) => {
    const parts = [description]
    if (layers.length > 1) parts.push(`layer=${at + 1}/${layers.length}`)
    parts.push(`integrity=${integrity}`)
    if (activeContent) parts.push(`active_content=${activeContent}`)
    if (at === layers.length - 1) parts.push(signature ? signatureText(signature) : UNCHECKED)
    return formatField('Hisho-Decrypted', parts.join('; '))
  })
  return fields.toReversed()
}

/** `signature=pass; method=smime; signer="alice@a.example"` */
export function signatureText({ method, result }: ContentSignature): string {
  const parts = [`signature=${result.status}`, `method=${method}`]
  if ('identity' in result && result.identity !== undefined)
    parts.push(`signer=${formatQuoted(result.identity)}`)
  if ('reason' in result) parts.push(`reason=${formatQuoted(result.reason)}`)
  return parts.join('; ')
}

/** `reference` finds the line of the log that says more. */
export function formatNotOpened(reason: NotOpenedReason, reference: string): Field {
  return formatField('Hisho-Not-Decrypted', `${reason}; ref=${formatQuoted(reference)}`)
}

/** The value of such a field, for who adds fields by name. */
export function notOpenedText(reason: NotOpenedReason, reference: string): string {
  return fieldValue(formatNotOpened(reason, reference))
}
