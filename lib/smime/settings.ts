// What a line of the domain table says for S/MIME. `legacy` is the shared keys' too, and `key_sources` that of OpenPGP.
import type { KeySourceName } from '../mail/correspondent-keys.ts'
import { keySourcesOf, problemWithKeySources } from '../mail/key-sources.ts'
import type { SchemeKind, SchemeSettings } from '../mail/scheme.ts'
import type { Profile } from './cms/seal.ts'
import {
  problemWithRevocation,
  revocationModeFrom,
  type RevocationMode,
} from './trust/revocation-mode.ts'

export interface SmimeSettings {
  readonly profile: Profile
  readonly sources: readonly KeySourceName[]
  /** Whether mail of the domain may come in triple DES, or with short tags. We never send that. */
  readonly legacy: boolean
  /** undefined: as it is set for all. */
  readonly revocation: RevocationMode | undefined
}

const PROFILES: readonly Profile[] = ['compat', 'modern']

export const SMIME: SchemeKind = {
  name: 'smime',
  settings: ['smime', 'key_sources', 'revocation', 'legacy'],

  problemWith(settings) {
    const { smime, legacy } = settings
    if (smime !== undefined && !PROFILES.some((known) => known === smime))
      return { key: 'smime', reason: `must be ${PROFILES.join(' or ')}` }
    const wrong = problemWithRevocation(settings)
    if (wrong !== undefined) return { key: 'revocation', reason: wrong }
    if (legacy !== undefined && typeof legacy !== 'boolean')
      return { key: 'legacy', reason: 'must be true or false' }
    const reason = problemWithKeySources(settings)
    return reason === undefined ? undefined : { key: 'key_sources', reason }
  },
}

/** Of settings that `problemWith` has let pass. */
export function smimeSettings(settings: SchemeSettings): SmimeSettings {
  const { smime, revocation, legacy } = settings
  return {
    profile: PROFILES.find((known) => known === smime) ?? 'compat',
    sources: keySourcesOf(settings),
    legacy: legacy === true,
    revocation: revocationModeFrom(revocation),
  }
}
