// The lists of revoked certificates of our own CAs, where those certificates say that they lie: RFC 5280 section 4.2.1.13.
// docs/smime.md.
import type { Services } from '../services/services.ts'
import type { WellKnownPages } from './well-known.ts'

export function revocationListPages({
  ownRevocationLists,
}: Pick<Services, 'ownRevocationLists'>): WellKnownPages {
  return {
    name: 'list of revoked certificates',
    headers: { 'Content-Type': 'application/pkix-crl' },
    has: (path) => /^\/[!-~]+\.crl$/.test(path),
    bodyFor: (host, path) => ownRevocationLists.at(host, path),
  }
}
