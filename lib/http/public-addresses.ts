// Which addresses anybody on the internet may have: the registries of RFC 6890. A host that somebody else names leads to
// nothing inside of our own network.
import { BlockList, isIPv4 } from 'node:net'

/** Not globally reachable, or for groups. */
const SPECIAL: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3], // multicast, and what is reserved
]

/** Inside of the unicast that is given out, 2000::/3; all the rest is refused: mapped, unique local, link-local, multicast. */
const SPECIAL_IPV6: readonly (readonly [string, number])[] = [
  ['2001::', 23], // protocols, Teredo among them: it leads to an IPv4 address within
  ['2001:db8::', 32],
  ['2002::', 16], // 6to4: the same
  ['3fff::', 20],
]

export interface AddressFilter {
  isPublic(address: string): boolean
}

export function createAddressFilter(): AddressFilter {
  const special = new BlockList()
  for (const [net, bits] of SPECIAL) special.addSubnet(net, bits, 'ipv4')
  for (const [net, bits] of SPECIAL_IPV6) special.addSubnet(net, bits, 'ipv6')
  const unicast = new BlockList()
  unicast.addSubnet('2000::', 3, 'ipv6')
  return {
    isPublic: (address) =>
      isIPv4(address)
        ? !special.check(address, 'ipv4')
        : unicast.check(address, 'ipv6') && !special.check(address, 'ipv6'),
  }
}
