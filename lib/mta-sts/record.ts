// The TXT record at `_mta-sts.<domain>`, which says that there is a policy and which one: RFC 8461 section 3.1.
import { PermError } from '../errors.ts'
import { trimBlanks } from './blanks.ts'

export interface StsRecord {
  /** Another one: another policy. 1 to 32 letters and digits. */
  readonly id: string
}

/** `none`: no policy is available, whatever the reason; what is cached stays all the same. */
export type RecordOutcome =
  | ({ readonly status: 'found' } & StsRecord)
  | { readonly status: 'none'; readonly reason: string }

const START = 'v=STSv1;'
const ID = /^[A-Za-z0-9]{1,32}$/
const FIELD = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}=[\x21-\x3a\x3c\x3e-\x7e]+$/

/** All TXT records of the name, each as its strings. */
export function parseRecords(texts: readonly (readonly Uint8Array[])[]): RecordOutcome {
  // Joined without a space; those that are not ours are dropped, and then there must be one: RFC 8461 section 3.1.
  const records = texts
    .map((strings) => Buffer.concat(strings).toString('latin1'))
    .filter((text) => text.startsWith(START))
  const [record] = records
  if (record === undefined) return none('no MTA-STS record')
  if (records.length > 1) return none(`${records.length} MTA-STS records, where one is wanted`)
  return parseFields(record.slice(START.length))
}

/** What follows `v=STSv1;`. */
function parseFields(text: string): RecordOutcome {
  const fields = text.split(';').map(trimBlanks)
  if (fields.at(-1) === '' && fields.length > 1) fields.pop() // a last delimiter
  // Space belongs to a delimiter, and after the last field there is none.
  else if (/[ \t]$/.test(text)) return none('the MTA-STS record ends in a blank')
  if (!fields.every((field) => FIELD.test(field)))
    return none('the MTA-STS record has a field that is none')
  // RFC 8461 section 3.2: of a field that is there twice the first counts, and unknown ones are ignored.
  const id = fields.find((field) => field.startsWith('id='))?.slice('id='.length)
  if (id === undefined) return none('the MTA-STS record has no id')
  if (!ID.test(id)) return none('the id of the MTA-STS record is not 1 to 32 letters and digits')
  return { status: 'found', id }
}

export function formatRecord({ id }: StsRecord): string {
  if (!ID.test(id)) throw new PermError('mta-sts/policy', 'id: not 1 to 32 letters and digits')
  return `${START} id=${id};`
}

function none(reason: string): RecordOutcome {
  return { status: 'none', reason }
}
