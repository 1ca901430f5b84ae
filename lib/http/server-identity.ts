// Whether a certificate is for the host that was meant: by its subjectAltName alone. RFC 9525 section 2: Node would take
// the common name where there is none.
import { checkServerIdentity, type PeerCertificate } from 'node:tls'

export function checkHostName(host: string, certificate: PeerCertificate): Error | undefined {
  if (certificate.subjectaltname === undefined)
    return new Error(`the certificate names no host, where ${host} is wanted`)
  return checkServerIdentity(host, certificate)
}
