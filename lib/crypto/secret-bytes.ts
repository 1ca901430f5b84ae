// Key material that does not print and can be wiped.
import { timingSafeEqual } from 'node:crypto'
import { inspect } from 'node:util'

const SHOWN = '[secret]'

/** Owns the array it is given: nobody else keeps or changes it. Whoever creates one wipes it. */
export class SecretBytes {
  #bytes: Uint8Array | undefined

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** The bytes themselves, not a copy. Throws after `wipe`. */
  get bytes(): Uint8Array {
    if (this.#bytes === undefined) throw new Error('secret bytes were used after they were wiped')
    return this.#bytes
  }

  get wiped(): boolean {
    return this.#bytes === undefined
  }

  /** The same secret under an owner of its own. */
  copy(): SecretBytes {
    return new SecretBytes(Uint8Array.from(this.bytes))
  }

  /** Compares in constant time, but for the lengths. */
  equals(other: SecretBytes): boolean {
    return this.bytes.length === other.bytes.length && timingSafeEqual(this.bytes, other.bytes)
  }

  /** Overwrites the bytes with zeros. A second call does nothing. */
  wipe(): void {
    this.#bytes?.fill(0)
    this.#bytes = undefined
  }

  toString(): string {
    return SHOWN
  }

  toJSON(): string {
    return SHOWN
  }

  [inspect.custom](): string {
    return SHOWN
  }
}
