// Whom a certificate is of: RFC 8550 section 3, and the domain certificates of RFC 3183.
import type { Certificate } from '../x509/certificate.ts'
import { NAME_TAG } from '../x509/name-constraints.ts'

/** RFC 3183 sections 3.1.1 and 3.3: who signs for all of a domain, and to whom all its mail can be encrypted. */
const OF_DOMAIN = {
  signing: 'domain-signing-authority',
  confidentiality: 'domain-confidentiality-authority',
}
export type DomainRole = keyof typeof OF_DOMAIN

const ADDRESS = /^[^\s@\p{Cc}]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+$/u

/**
 * In lower case: those of the subjectAltName (rfc822Name); where there is none, that of the subject. What is not ASCII, or no
 * address, is not among them.
 */
export function addressesOf({
  alternativeNames,
  subjectAddresses,
}: Certificate): readonly string[] {
  const named = alternativeNames
    .filter(({ tag }) => tag === NAME_TAG.mail)
    .map(({ content }) => asciiOf(content))
  const all = named.length > 0 ? named : subjectAddresses
  return [...new Set(all.filter((text) => ADDRESS.test(text)).map((text) => text.toLowerCase()))]
}

/** The address by which a certificate says that it is of the whole domain. */
export function domainAddress(domain: string, role: DomainRole): string {
  return `${OF_DOMAIN[role]}@${domain}`
}

function asciiOf(content: Uint8Array): string {
  const text = Buffer.from(content).toString('latin1')
  // What has other characters is no address, and must not look like another one.
  return /^[!-~]+$/.test(text) ? text : ''
}
