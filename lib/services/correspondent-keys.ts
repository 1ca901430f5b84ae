// Public keys and certificates of others, as the settings say: the directory of them, wired.
import type { Clock } from '../clock.ts'
import { normalizeAddress } from '../ibe/identity.ts'
import { normalizeDomain } from '../ibe/mail-domain.ts'
import { createKeyDirectory, type KeyDirectory } from '../key-directory/directory.ts'
import { createOperatorKeys } from '../key-directory/operator.ts'
import type { KeyFormat } from '../mail/correspondent-keys.ts'
import type { Log } from './services.ts'
import type { SharedSettings } from './settings.ts'

export interface CorrespondentKeysOptions {
  readonly settings: SharedSettings
  readonly formats: readonly KeyFormat[]
  readonly clock: Clock
  readonly log: Log
}

export function createCorrespondentKeys(options: CorrespondentKeysOptions): KeyDirectory {
  const { settings, formats, clock, log } = options
  const operator = createOperatorKeys({
    directory: settings.correspondents.directory,
    clock,
    normalizeName: (name) => (name.includes('@') ? normalizeAddress : normalizeDomain)(name),
    log,
  })
  return createKeyDirectory({ formats, operator })
}
