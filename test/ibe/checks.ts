// The check of a record's numbers as the services have it.
import { PermError } from '../../lib/errors.ts'
import type { Ibe } from '../../lib/ibe/ibe.ts'
import type { AnyParameters } from '../../lib/ibe/parameters.ts'

export function checkBy(ibe: Ibe): (parameters: AnyParameters) => Promise<void> {
  return async (parameters) => {
    if (parameters.version === '2.0' && !(await ibe.checkPublicKey(parameters.publicKey)))
      throw new PermError('ibe/parameters', 'P is no point that can be used')
  }
}
