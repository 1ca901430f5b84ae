// Under which names the keys of an address stand: in DNS by RFC 7929 section 3 and RFC 8162 section 3, on the web by
// draft-koch-openpgp-webkey-service section 3.1.
import { createHash } from 'node:crypto'
import type { KeyKind } from '../mail/correspondent-keys.ts'

const DNS_LABEL: Readonly<Record<KeyKind, string>> = {
  openpgp: '_openpgpkey', // RFC 7929 section 3
  smime: '_smimecert', // RFC 8162 section 3
}
const HASH_OCTETS = 28
const Z_BASE_32 = 'ybndrfg8ejkmcpqxot1uwisza345h769' // RFC 6189 section 5.1.6

export interface WebPlace {
  readonly host: string
  readonly path: string
}

/**
 * RFC 7929 section 4, RFC 8162 section 4: a sender looks for the local part as it is written, and only its domain knows which
 * others are the same mailbox. Most publish small letters alone, and to us both are one mailbox: so that name comes second.
 */
export function dnsNamesOf(kind: KeyKind, address: string, spelling = address): string[] {
  const { local } = partsOf(spelling.normalize('NFC'))
  const { domain } = partsOf(address)
  return [...new Set([nameOf(kind, local, domain), dnsNameOf(kind, address)])]
}

/** `c93f1e40...._openpgpkey.example.com` */
export function dnsNameOf(kind: KeyKind, address: string): string {
  const { local, domain } = partsOf(address)
  return nameOf(kind, local, domain)
}

function nameOf(kind: KeyKind, local: string, domain: string): string {
  const hash = createHash('sha256').update(local).digest().subarray(0, HASH_OCTETS)
  return `${hash.toString('hex')}.${DNS_LABEL[kind]}.${domain}`
}

/** Where the advanced method looks, and where the direct one does. */
export function webPlacesOf(address: string): {
  readonly advanced: WebPlace
  readonly direct: WebPlace
} {
  const { local, domain } = partsOf(address)
  const file = `hu/${hashOf(local)}?l=${encodeURIComponent(local)}`
  return {
    advanced: {
      host: `openpgpkey.${domain}`,
      path: `/.well-known/openpgpkey/${domain}/${file}`,
    },
    direct: { host: domain, path: `/.well-known/openpgpkey/${file}` },
  }
}

/** 32 characters: the name of the file with the keys of this address. */
export function webHashOf(address: string): string {
  return hashOf(partsOf(address).local)
}

/** ASCII letters alone are made small. */
function hashOf(local: string): string {
  const small = local.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase())
  return zBase32(createHash('sha1').update(small).digest())
}

/** RFC 6189 section 5.1.6, of whole groups of five bits. */
function zBase32(bytes: Uint8Array): string {
  let text = ''
  let held = 0
  let bits = 0
  for (const byte of bytes) {
    held = (held << 8) | byte
    bits += 8
    while (bits >= 5) {
      bits -= 5
      text += Z_BASE_32[(held >> bits) & 31]
    }
    held &= (1 << bits) - 1
  }
  return text
}

/** The local part as it is meant, without quotes. */
function partsOf(address: string): { readonly local: string; readonly domain: string } {
  const at = address.lastIndexOf('@')
  const written = address.slice(0, at)
  const local = written.startsWith('"')
    ? written.slice(1, -1).replaceAll(/\\(.)/gsu, '$1')
    : written
  return { local, domain: address.slice(at + 1) }
}
