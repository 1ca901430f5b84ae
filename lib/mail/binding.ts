// Whom something that was sealed for a whole domain is for: the key proves nothing of the user, and anybody could send them
// what was sealed for another one.
import { HishoError } from '../errors.ts'
import type { Restored } from './protected-header.ts'

export interface BindingOptions {
  readonly normalizeAddress: (address: string) => string
  /** Whether it is opened where the inside names nobody. */
  readonly opensUnbound: () => boolean
}

/** Whether the inside names this normalised address. */
export function isNamedInside(
  address: string,
  { addressees }: Restored,
  { normalizeAddress, opensUnbound }: BindingOptions,
): boolean {
  if (addressees === undefined) return opensUnbound()
  return addressees.some((written) => {
    try {
      return normalizeAddress(written) === address
    } catch (error) {
      if (error instanceof HishoError) return false // no mail could go to it
      throw error
    }
  })
}
