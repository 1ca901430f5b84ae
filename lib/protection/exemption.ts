// Mail that machines write to machines, and what the table may exempt from encryption. Anybody can call a message a report: it
// must have the whole shape of one.
import { mailboxesIn } from '../mail/address.ts'
import { contentTypeOf } from '../mail/content-type.ts'
import { fieldsNamed, fieldValue, type Field } from '../mail/header.ts'
import { partTypes } from '../mail/part-types.ts'

export const EXEMPTIONS = [
  'dsn',
  'mdn',
  'tlsrpt',
  'dmarc',
  'autocrypt_setup',
  'list_control',
] as const
export type Exemption = (typeof EXEMPTIONS)[number]

/** A message, as far as one has to see of it. */
export interface Specimen {
  readonly fields: readonly Field[]
  /** The first octets of its body. */
  readonly start: Uint8Array
  /** Of the envelope; '' for the null one. */
  readonly sender: string
}

/** What the message is for this recipient, if it is anything of the kind. */
export function exemptionOf(specimen: Specimen, recipient: string): Exemption | undefined {
  return reportOf(specimen) ?? requestOf(specimen, recipient)
}

function reportOf(specimen: Specimen): Exemption | undefined {
  const { fields, start } = specimen
  const root = contentTypeOf(fields)
  if (isDmarcReport(specimen)) return 'dmarc'
  if (root?.type !== 'multipart/report') return undefined
  const { parts, isComplete } = partTypes(fields, start)
  const types = parts.map(({ type }) => type)
  switch (root.parameters.get('report-type')?.toLowerCase() ?? '') {
    case 'delivery-status': // RFC 3464 section 2
      return isNotification(specimen, types, isComplete, DELIVERY_STATUS) ? 'dsn' : undefined
    case 'disposition-notification': // RFC 8098 section 3
      return isNotification(specimen, types, isComplete, DISPOSITION) ? 'mdn' : undefined
    case 'tlsrpt': // RFC 8460 section 5.3
      return TLS_REPORT.includes(types[1] ?? '') &&
        fieldsNamed(fields, 'tls-report-domain').length === 1 &&
        fieldsNamed(fields, 'tls-report-submitter').length === 1
        ? 'tlsrpt'
        : undefined
    default:
      return undefined
  }
}

const DELIVERY_STATUS = ['message/delivery-status', 'message/global-delivery-status']
const DISPOSITION = ['message/disposition-notification', 'message/global-disposition-notification']
const HEADERS_ALONE = ['text/rfc822-headers', 'message/global-headers']
const TLS_REPORT = ['application/tlsrpt+gzip', 'application/tlsrpt+json']

/** With no more of the original than its header: one that brings the content back is mail as any other. */
function isNotification(
  { sender }: Specimen,
  types: readonly string[],
  isComplete: boolean,
  second: readonly string[],
): boolean {
  const [, status = '', original, ...more] = types
  return (
    sender === '' &&
    isComplete &&
    second.includes(status) &&
    (original === undefined || HEADERS_ALONE.includes(original)) &&
    more.length === 0
  )
}

const DMARC_SUBJECT = /^Report Domain: *[^\s]+ Submitter: *[^\s]+ Report-ID: *[^\s]+$/i
const DMARC_FILE =
  /\b(?:file)?name="?[^\s"!]+![^\s"!]+!\d+!\d+(?:![^\s"!]+)?\.(?:xml(?:\.gz)?|zip)/i
const DMARC_TYPES =
  /^(?:application\/(?:(?:x-)?gzip|zip|x-zip-compressed|octet-stream|xml)|text\/xml)$/

/** RFC 7489 section 7.2.1.1: the subject, and the name of the file. */
function isDmarcReport({ fields, start }: Specimen): boolean {
  const [subject, ...others] = fieldsNamed(fields, 'subject')
  if (!subject || others.length > 0) return false
  if (!DMARC_SUBJECT.test(fieldValue(subject).replaceAll(/\s+/g, ' '))) return false
  const { parts } = partTypes(fields, start)
  const root = { type: contentTypeOf(fields)?.type ?? '', fields }
  return [root, ...parts].some(
    (part) =>
      DMARC_TYPES.test(part.type) &&
      part.fields.some(
        (field) =>
          /^content-(?:type|disposition)$/.test(field.name) && DMARC_FILE.test(fieldValue(field)),
      ),
  )
}

function requestOf(specimen: Specimen, recipient: string): Exemption | undefined {
  if (isAutocryptSetup(specimen, recipient)) return 'autocrypt_setup'
  return isListControl(specimen, recipient) ? 'list_control' : undefined
}

/** Autocrypt Level 1, section 4.4: from oneself to oneself, encrypted already in a way of its own. */
function isAutocryptSetup({ fields, start, sender }: Specimen, recipient: string): boolean {
  const [version, ...others] = fieldsNamed(fields, 'autocrypt-setup-message')
  if (!version || others.length > 0 || fieldValue(version) !== 'v1') return false
  const same = [...mailboxesIn(fields, 'from'), ...mailboxesIn(fields, 'to'), sender]
  if (same.length !== 3 || same.some((one) => one.toLowerCase() !== recipient.toLowerCase()))
    return false
  const { parts } = partTypes(fields, start)
  return parts.length <= 2 && parts[1]?.type === 'application/autocrypt-setup'
}

const CONTROL_ADDRESS = /[-+](?:request|subscribe|unsubscribe|confirm|help)(?:[-+=][^@]*)?@[^@]+$/i
const CONTROL_WORDS =
  /^(?:subscribe|unsubscribe|sub|unsub|join|leave|confirm|accept|auth|help|info|lists?|who|which|end|quit|set)\b[^\r\n]{0,100}$/i
const CONTROL_BYTES = 512

/** A command for the program that keeps a list (RFC 2142 section 6 has its address), and nothing beside it. */
function isListControl({ fields, start }: Specimen, recipient: string): boolean {
  const type = contentTypeOf(fields)?.type ?? 'text/plain'
  if (!CONTROL_ADDRESS.test(recipient) || type !== 'text/plain' || start.length > CONTROL_BYTES)
    return false
  const lines = Buffer.from(start).toString('latin1').split(/\r\n/)
  return lines.every((line) => line.trim() === '' || CONTROL_WORDS.test(line.trim()))
}
