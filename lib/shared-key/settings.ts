// What a line of the domain table says for keys that we share with a site: which one, and with which cipher.
import { isAvailable, isWeak, missingText, SUITES, type Suite } from '../container/suite.ts'
import type { SchemeKind, SchemeSettings } from '../mail/scheme.ts'

export interface SharedKeySettings {
  /** The id of the key to send with. undefined: the newest of the site. */
  readonly keyId: string | undefined
  readonly suite: Suite
  /** Whether weak ciphers may be used with the site, in both directions. */
  readonly legacy: boolean
}

const DEFAULT_SUITE: Suite = 'aes-256-gcm'

export const SHARED_KEY: SchemeKind = {
  name: 'shared-key',
  settings: ['key', 'suite', 'legacy'],

  problemWith({ key, suite, legacy }) {
    if (key !== undefined && (typeof key !== 'string' || key === ''))
      return { key: 'key', reason: 'must be the id of a key in the vault' }
    if (legacy !== undefined && typeof legacy !== 'boolean')
      return { key: 'legacy', reason: 'must be true or false' }
    if (suite === undefined) return undefined
    const found = SUITES.find((known) => known === suite)
    if (!found) return { key: 'suite', reason: `must be one of ${SUITES.join(', ')}` }
    if (isWeak(found) && legacy !== true)
      return { key: 'suite', reason: `${found} is weak: it needs legacy: true beside it` }
    return isAvailable(found) ? undefined : { key: 'suite', reason: missingText(found) }
  },

  warningFor(settings) {
    const { suite, legacy } = sharedKeySettings(settings)
    if (isWeak(suite)) return `mail to it is sealed with ${suite}, which is weak`
    return legacy ? 'mail of it may be sealed with a weak cipher (legacy: true)' : undefined
  },
}

/** Of settings that `problemWith` has let pass. */
export function sharedKeySettings({ key, suite, legacy }: SchemeSettings): SharedKeySettings {
  return {
    keyId: typeof key === 'string' ? key : undefined,
    suite: SUITES.find((known) => known === suite) ?? DEFAULT_SUITE,
    legacy: legacy === true,
  }
}
