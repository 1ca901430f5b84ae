// Times in certificates: RFC 5280 section 4.1.2.5.
import { TAG, malformed, type Element } from './der.ts'

/** Unix milliseconds. */
export function readTime(element: Element | undefined): number {
  const text = Buffer.from(element?.content ?? []).toString('latin1')
  const year = element?.tag === TAG.utcTime ? '\\d{2}' : '\\d{4}'
  const isTime = element?.tag === TAG.utcTime || element?.tag === TAG.generalizedTime
  const match = new RegExp(`^(${year})(\\d{2})(\\d{2})(\\d{2})(\\d{2})(\\d{2})Z$`).exec(text)
  if (!isTime || !match) throw malformed('no time')
  const [, years = '', month = '', day = '', hour = '', minute = '', second = ''] = match
  // Two digits mean 1950 to 2049.
  const century = years.length === 4 ? '' : Number(years) < 50 ? '20' : '19'
  const time = Date.parse(`${century}${years}-${month}-${day}T${hour}:${minute}:${second}Z`)
  if (Number.isNaN(time)) throw malformed('no time')
  return time
}
