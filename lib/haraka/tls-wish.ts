// What the sender of a message asked for on its way, as a note that stays with it in the queue: RFC 8689.

export interface TlsWish {
  /** REQUIRETLS on the envelope. */
  readonly requireTls: boolean
  /** `TLS-Required: No` in the header. */
  readonly tlsRequiredNo: boolean
}

const KEY = 'hisho_tls'

export function tlsWishOf(notes: Readonly<Record<string, unknown>>): TlsWish {
  const found = notes[KEY]
  const wish = typeof found === 'object' && found !== null ? (found as Partial<TlsWish>) : {}
  return { requireTls: wish.requireTls === true, tlsRequiredNo: wish.tlsRequiredNo === true }
}
