// Where a certificate says that it can be asked whether it is revoked: RFC 5280 sections 4.2.1.13 and 4.2.2.1.
import { PermError } from '../../errors.ts'
import type { Certificate } from '../../x509/certificate.ts'
import {
  TAG,
  expectTag,
  readElement,
  readElements,
  readObjectIdentifier,
  type Element,
} from '../../x509/der.ts'

export interface Places {
  readonly ocsp: readonly string[]
  readonly lists: readonly string[]
}

const EXTENSION = { lists: '2.5.29.31', access: '1.3.6.1.5.5.7.1.1' } as const
const OCSP = '1.3.6.1.5.5.7.48.1'
/** Tags of GeneralName and DistributionPoint. */
const URI = 0x86
const POINT_NAME = 0xa0
const FULL_NAME = 0xa0

/** More than these nobody is asked. */
const MAX_PLACES = 3

/** Plain HTTP alone: what is fetched is signed, and TLS to it would ask the next such question. */
export function placesOf({ extensions }: Certificate): Places {
  return {
    ocsp: placesIn(extensions.get(EXTENSION.access), ocspPlace),
    lists: placesIn(extensions.get(EXTENSION.lists), listPlaces),
  }
}

function placesIn(
  value: Uint8Array | undefined,
  read: (member: Element) => readonly string[],
): readonly string[] {
  if (value === undefined) return []
  try {
    const members = readElements(expectTag(readElement(value), TAG.sequence).content)
    const all = members.flatMap(read).filter((text) => /^http:\/\//i.test(text))
    return [...new Set(all)].slice(0, MAX_PLACES)
  } catch (error) {
    if (error instanceof PermError) return []
    throw error
  }
}

function ocspPlace(description: Element): readonly string[] {
  const [method, location] = readElements(expectTag(description, TAG.sequence).content)
  const isOcsp = location !== undefined && readObjectIdentifier(method) === OCSP
  return isOcsp ? uriIn([location]) : []
}

/** A point for some reasons only, or by another issuer, does not tell all of it. */
function listPlaces(point: Element): readonly string[] {
  const [name, ...more] = readElements(expectTag(point, TAG.sequence).content)
  if (name?.tag !== POINT_NAME || more.length > 0) return []
  const full = readElement(name.content)
  return full.tag === FULL_NAME ? uriIn(readElements(full.content)) : []
}

export function uriIn(names: readonly Element[]): readonly string[] {
  return names
    .filter(({ tag }) => tag === URI)
    .map(({ content }) => Buffer.from(content).toString('latin1'))
}
