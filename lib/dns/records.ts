// What a resolver answers: the records we understand, or the proof that there are none.

/** RFC 1035 section 3.3.9. The exchange `.` is the null MX of RFC 7505. */
export interface MxRecord {
  readonly preference: number
  readonly exchange: string
}

/** RFC 6698 section 2.1. */
export interface TlsaRecord {
  readonly usage: number
  readonly selector: number
  readonly matchingType: number
  readonly certificate: Uint8Array
}

/** RFC 8162 section 2: of the same form. */
export type SmimeaRecord = TlsaRecord

export interface RecordTypes {
  A: string
  AAAA: string
  CNAME: string
  MX: MxRecord
  /** A binary OpenPGP certificate, RFC 7929 section 2.1. */
  OPENPGPKEY: Uint8Array
  SMIMEA: SmimeaRecord
  TLSA: TlsaRecord
  /** The character strings of one record, RFC 1035 section 3.3.14; who reads them joins them. */
  TXT: readonly Uint8Array[]
}

export type RecordType = keyof RecordTypes

interface Common {
  /** The least along the CNAME chain; of a negative answer, as RFC 2308 section 5 has it. */
  readonly ttlSeconds: number
  /** Each answer of the chain had the AD bit and came from a trusted server. */
  readonly authentic: boolean
  /** Where the CNAME chain ends, in lower case without the final dot; without aliases the name that was asked for. */
  readonly canonicalName: string
}

export interface Found<T extends RecordType> extends Common {
  readonly status: 'found'
  readonly records: readonly RecordTypes[T][]
}

/** No such name, or a name without records of this type (RFC 2308 sections 2.1 and 2.2). */
export interface Absent extends Common {
  readonly status: 'nxdomain' | 'nodata'
}

export type Answer<T extends RecordType = RecordType> = Found<T> | Absent
