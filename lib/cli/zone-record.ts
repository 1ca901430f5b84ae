// A TXT record as it goes into a zone file: RFC 1035 section 5.1.
import { RECORD_LABEL } from '../ibe/directory/records.ts'

const STRING_MAX_BYTES = 255 // RFC 1035 section 3.3
export const TTL_SECONDS = 3600

/** One line. The text is ASCII. */
export function zoneLine(domain: string, text: string): string {
  return zoneText(`${RECORD_LABEL}.${domain}`, text)
}

export function zoneText(name: string, text: string): string {
  const count = Math.max(1, Math.ceil(text.length / STRING_MAX_BYTES))
  const strings = Array.from({ length: count }, (_, at) =>
    text.slice(at * STRING_MAX_BYTES, (at + 1) * STRING_MAX_BYTES),
  ).map((part) => `"${part.replaceAll(/["\\]/g, String.raw`\$&`)}"`)
  return `${name}. ${TTL_SECONDS} IN TXT ${strings.join(' ')}`
}
