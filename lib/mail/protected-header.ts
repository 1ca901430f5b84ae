// Header protection for schemes whose content is a MIME entity and no whole message: RFC 9788.
import type { Message } from './message.ts'

/** What a scheme has opened, as a message again. */
export interface Restored {
  /** Trace fields of the outside are not among its fields: whoever delivers it puts them on top. */
  readonly message: Message
  /** `none`: the fields are those of the outside, which anybody on the way could have changed. */
  readonly headerProtection: 'hp-cipher' | 'hp-clear' | 'legacy' | 'none'
  /** Whom the inside names, normalised by nobody: To, Cc and our own list of a copy's addressees. undefined: it names nobody. */
  readonly addressees: readonly string[] | undefined
}
