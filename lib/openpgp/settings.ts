// What a line of the domain table says for OpenPGP. `legacy` is the shared keys' too, and `key_sources` that of S/MIME.
import { keySourcesOf, problemWithKeySources } from '../mail/key-sources.ts'
import type { KeySourceName } from '../mail/correspondent-keys.ts'
import type { SchemeKind, SchemeSettings } from '../mail/scheme.ts'

export interface OpenPgpSettings {
  readonly sources: readonly KeySourceName[]
  /** Whether mail of the domain may come in ciphers of blocks of 64 bits. We never send them. */
  readonly legacy: boolean
}

export const OPENPGP: SchemeKind = {
  name: 'openpgp',
  settings: ['key_sources', 'legacy'],

  problemWith(settings) {
    const reason = problemWithKeySources(settings)
    if (reason !== undefined) return { key: 'key_sources', reason }
    const { legacy } = settings
    if (legacy !== undefined && typeof legacy !== 'boolean')
      return { key: 'legacy', reason: 'must be true or false' }
    return undefined
  },
}

/** Of settings that `problemWith` has let pass. */
export function openPgpSettings(settings: SchemeSettings): OpenPgpSettings {
  return { sources: keySourcesOf(settings), legacy: settings['legacy'] === true }
}
