// A bounce tells its reader what was in the header of the message; that of a message that was opened here is plaintext, and
// the bounce goes back over the way that the encryption was for. Leans on the inside of Haraka 3.3's HMailItem.
import { PermError } from '../errors.ts'
import type { Header, HMail, Plugin } from './api.ts'
import { wasOpened } from './not-opened.ts'

interface BouncePrototype {
  populate_bounce_message_with_headers: (
    this: HMail,
    from: unknown,
    to: unknown,
    reason: unknown,
    header: Header,
    done: unknown,
  ) => void
}

let patched: BouncePrototype | undefined

/** What was visible on the way here, and names the message for its sender. */
const SHOWN = /^(?:received|date|message-id)[ \t]*:/i

/** PermError haraka/settings if this Haraka makes bounces in another way. */
export function keepPlaintextOutOfBounces(plugin: Plugin): void {
  const { HMailItem } = plugin.haraka_require('outbound') as {
    readonly HMailItem: { readonly prototype: Partial<BouncePrototype> }
  }
  const prototype = HMailItem.prototype
  const original = prototype.populate_bounce_message_with_headers
  if (original === undefined)
    throw new PermError(
      'haraka/settings',
      'hisho does not start: populate_bounce_message_with_headers is missing in this Haraka',
    )
  const known: BouncePrototype = { populate_bounce_message_with_headers: original }
  if (patched?.populate_bounce_message_with_headers === original) return
  patched = {
    populate_bounce_message_with_headers(from, to, reason, header, done) {
      const shown = wasOpened(this.todo?.notes ?? {}) ? withoutPlaintext(header) : header
      known.populate_bounce_message_with_headers.call(this, from, to, reason, shown, done)
    },
  }
  Object.assign(prototype, patched)
}

function withoutPlaintext(header: Header): Header {
  const HeaderClass = header.constructor as new () => Header
  const shown = new HeaderClass()
  shown.parse([...header.header_list.filter((entry) => SHOWN.test(entry)), 'Subject: [...]\n'])
  return shown
}
