// What our certificates say of themselves: RFC 5280 section 4.2, RFC 8550 section 4.4.
import { createHash } from 'node:crypto'
import { readElement, readElements } from '../../x509/der.ts'
import {
  booleanTrue,
  element,
  integer,
  namedBits,
  objectIdentifier,
  octetString,
  sequence,
} from '../../x509/der-writer.ts'
import type { Extension } from './certificate.ts'

const EMAIL_PROTECTION = '1.3.6.1.5.5.7.3.4'
/** Tags of GeneralName. */
const MAIL = 0x81
const DNS = 0x82
const URI = 0x86

/** Numbers of bits: RFC 5280 section 4.2.1.3. */
const KEY_USAGE = {
  digitalSignature: 0,
  keyEncipherment: 2,
  keyAgreement: 4,
  keyCertSign: 5,
  cRLSign: 6,
} as const

export function keyUsage(...usages: readonly (keyof typeof KEY_USAGE)[]): Extension {
  const bits = usages.map((usage) => KEY_USAGE[usage])
  return { id: '2.5.29.15', critical: true, value: namedBits(bits) }
}

/** Of an authority that makes no others, or of none. */
export function basicConstraints(kind: 'authority' | 'end'): Extension {
  const value = kind === 'authority' ? sequence(booleanTrue(), integer(0)) : sequence()
  return { id: '2.5.29.19', critical: true, value }
}

export function forMail(): Extension {
  return { id: '2.5.29.37', value: sequence(objectIdentifier(EMAIL_PROTECTION)) }
}

export function alternativeNames(addresses: readonly string[]): Extension {
  const names = addresses.map((address) => element(MAIL, ascii(address)))
  return { id: '2.5.29.17', value: sequence(...names) }
}

/**
 * Mail of these domains, and hosts in them. Not critical, against RFC 5280 section 4.2.1.10: gpgsm refuses what has it so, and
 * OpenSSL and we look at it either way.
 */
export function nameConstraints(domains: readonly string[]): Extension {
  const permitted = domains.flatMap((domain) =>
    [MAIL, DNS].map((tag) => sequence(element(tag, ascii(domain)))),
  )
  return { id: '2.5.29.30', value: sequence(element(0xa0, ...permitted)) }
}

export function subjectKeyIdentifier(publicKey: Uint8Array): Extension {
  return { id: '2.5.29.14', value: octetString(keyIdentifier(publicKey)) }
}

export function authorityKeyIdentifier(publicKey: Uint8Array): Extension {
  return { id: '2.5.29.35', value: sequence(element(0x80, keyIdentifier(publicKey))) }
}

export function distributionPoint(url: string): Extension {
  const name = element(0xa0, element(0xa0, element(URI, ascii(url))))
  return { id: '2.5.29.31', value: sequence(sequence(name)) }
}

export function listNumber(n: number): Extension {
  return { id: '2.5.29.20', value: integer(n) }
}

export function reasonCode(n: number): Extension {
  return { id: '2.5.29.21', value: element(0x0a, Uint8Array.of(n)) }
}

/** RFC 7093 section 2, method 1: 160 bits of SHA-256 of the key. */
function keyIdentifier(publicKey: Uint8Array): Uint8Array {
  const [, key] = readElements(readElement(publicKey).content)
  const bits = key?.content.subarray(1) ?? new Uint8Array()
  return createHash('sha256').update(bits).digest().subarray(0, 20)
}

function ascii(text: string): Uint8Array {
  return Buffer.from(text, 'latin1')
}
