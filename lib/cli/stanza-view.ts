// The recipient stanzas of an age file for people and scripts.
import type { Stanza } from '../container/stanza.ts'
import { HishoError } from '../errors.ts'
import { BF_STANZA_TYPE, parseBfStanza } from '../ibe/stanza.ts'

export interface StanzaView {
  readonly type: string
  readonly n?: number
  readonly identity?: string
  /** Arguments and body, decoded where they are ours. */
  readonly sizeBytes: number
  readonly problem?: string
}

export function stanzasOf(stanzas: readonly Stanza[]): StanzaView[] {
  return stanzas.map((stanza) => {
    const { type, args, body } = stanza
    const sizeBytes = args.join(' ').length + body.length
    if (type !== BF_STANZA_TYPE) return { type, sizeBytes }
    try {
      const { n, identity } = parseBfStanza(stanza)
      return { type, n, identity, sizeBytes }
    } catch (error) {
      if (!(error instanceof HishoError)) throw error
      return { type, sizeBytes, problem: error.message }
    }
  })
}
