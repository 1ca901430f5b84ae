// Whether a certificate is for the host that was meant: by its subjectAltName alone. RFC 9525 section 2: Node would take
// the common name where there is none, and `m*.example` for a wildcard (section 6.3 of the same).
import { isIP } from 'node:net'
import { checkServerIdentity, type PeerCertificate } from 'node:tls'
import { isForHost } from '../x509/host-name.ts'

export function checkHostName(host: string, certificate: PeerCertificate): Error | undefined {
  if (certificate.subjectaltname === undefined)
    return new Error(`the certificate names no host, where ${host} is wanted`)
  const error = checkServerIdentity(host, certificate)
  if (error || isIP(host) !== 0 || isForHost(certificate.raw, host, 'never')) return error
  return new Error(`the certificate has no name that is ${host} or a whole label's wildcard for it`)
}
