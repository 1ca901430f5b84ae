// Whether a certificate is for a name: RFC 6125 section 6.4, RFC 9525 section 6.3. A wildcard is a whole label, the left-most.
import { X509Certificate } from 'node:crypto'

export type CommonName =
  /** DNS-IDs alone: RFC 8461 sections 3.3 and 4.2. */
  | 'never'
  /** Where there is no DNS-ID: RFC 7672 section 3.2.3. */
  | 'fallback'

export function isForHost(der: Uint8Array, host: string, commonName: CommonName): boolean {
  const found = new X509Certificate(der).checkHost(host, {
    subject: commonName === 'never' ? 'never' : 'default',
    wildcards: true,
    partialWildcards: false,
    multiLabelWildcards: false,
    singleLabelSubdomains: false,
  })
  return found !== undefined
}
