// Addresses that were looked up already, for Node's connect: it tries one after the other (RFC 8305).
import { isIPv6, type LookupFunction } from 'node:net'

export const MAX_ADDRESSES = 8

export function lookUpIn(addresses: readonly string[]): LookupFunction {
  const all = addresses
    .slice(0, MAX_ADDRESSES)
    .map((address) => ({ address, family: isIPv6(address) ? 6 : 4 }))
  return (_host, { all: wantsAll }, callback) => {
    if (wantsAll) return callback(null, all)
    const [first] = all
    return callback(null, first?.address ?? '', first?.family)
  }
}
