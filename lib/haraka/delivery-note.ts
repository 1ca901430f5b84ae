// What a message asks of the servers on its way: a note on the transaction that Haraka writes into the queue file.

export interface DeliveryNote {
  /** REQUIRETLS on the envelope: RFC 8689 section 2. */
  readonly requireTls: boolean
  /** `TLS-Required: No` in the header: RFC 8689 section 3. */
  readonly tlsRequiredNo: boolean
  /** A report of ours: RFC 8460 section 5.3. */
  readonly isTlsReport: boolean
}

const KEY = 'hisho_delivery'

export function addDeliveryNote(notes: Record<string, unknown>, wish: Partial<DeliveryNote>): void {
  notes[KEY] = { ...deliveryNoteOf(notes), ...wish }
}

/** What is no note of ours asks for nothing; damage to the one that asks is nobody's wish. */
export function deliveryNoteOf(notes: Readonly<Record<string, unknown>>): DeliveryNote {
  const found = notes[KEY]
  const note = typeof found === 'object' && found !== null ? (found as Partial<DeliveryNote>) : {}
  return {
    requireTls: note.requireTls === true,
    tlsRequiredNo: note.tlsRequiredNo === true,
    isTlsReport: note.isTlsReport === true,
  }
}
