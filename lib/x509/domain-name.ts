// Whether a certificate is for a domain or for something below it: for servers whose own name nobody has vouched for.
import { X509Certificate } from 'node:crypto'

/** By DNS-IDs alone; a wildcard counts for where it stands. */
export function isWithinDomain(der: Uint8Array, domain: string): boolean {
  const names = new X509Certificate(der).subjectAltName ?? ''
  return [...names.matchAll(/(?:^|, )DNS:([^,"]+)(?=,|$)/g)].some(([, name = '']) => {
    const bare = name.toLowerCase().replace(/^\*\./, '')
    return bare === domain || bare.endsWith(`.${domain}`)
  })
}
