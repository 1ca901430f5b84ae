// The recipient stanzas of an age file for people and scripts.
import { addresseesOf } from '../container/addressees.ts'
import { PSK_STANZA_TYPE } from '../container/psk.ts'
import type { Stanza } from '../container/stanza.ts'
import { HishoError } from '../errors.ts'
import { BF_STANZA_TYPE, parseBfStanza } from '../ibe/stanza.ts'

export interface StanzaView {
  readonly type: string
  readonly n?: number
  readonly identity?: string
  /** Of a shared key. */
  readonly keyId?: string
  /** Arguments and body, decoded where they are ours. */
  readonly sizeBytes: number
  readonly problem?: string
}

export function stanzasOf(stanzas: readonly Stanza[]): StanzaView[] {
  return stanzas.map((stanza) => {
    const { type, args, body } = stanza
    const sizeBytes = args.join(' ').length + body.length
    try {
      if (type === PSK_STANZA_TYPE) return { type, keyId: args[0] ?? '', sizeBytes }
      const [identity] = addresseesOf([stanza])
      if (identity !== undefined) return { type, identity, sizeBytes }
      if (type !== BF_STANZA_TYPE) return { type, sizeBytes }
      const { n, identity: sealedFor } = parseBfStanza(stanza)
      return { type, n, identity: sealedFor, sizeBytes }
    } catch (error) {
      if (!(error instanceof HishoError)) throw error
      return { type, sizeBytes, problem: error.message }
    }
  })
}
