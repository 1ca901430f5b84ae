// Which resolvers we ask, and whether their AD bit counts.
import { getServers } from 'node:dns'
import { isIP } from 'node:net'
import { PermError } from '../errors.ts'

const DNS_PORT = 53

export interface DnsServer {
  /** An IPv4 or IPv6 address without brackets; a link-local one may carry a zone, as in `fe80::1%eth0`. */
  readonly address: string
  readonly port: number
  /**
   * Whether its AD bit is believed. The way to it must be as safe as the loopback: RFC 4035 section 4.9.3 and
   * RFC 6698 appendix A.3.
   */
  readonly trusted: boolean
}

/**
 * Reads `192.0.2.1`, `127.0.0.1:5300`, `::1` or `[::1]:53`. Only a loopback address starts out trusted.
 * A refusal names the field and not the value.
 */
export function parseServer(text: string, field = 'DNS server'): DnsServer {
  const bracketed = /^\[(?<address>[^[\]]+)\](?::(?<port>\d+))?$/.exec(text)
  const dotted = /^(?<address>[^:[\]]+)(?::(?<port>\d+))?$/.exec(text)
  const groups = (bracketed ?? dotted)?.groups
  const address = groups?.['address'] ?? text
  const family = isIP(address)
  if (family === 0 || (bracketed && family !== 6)) {
    throw new PermError(
      'dns/malformed',
      `${field}: expected an IP address and perhaps a port, such as 127.0.0.1:53 or [::1]:53`,
    )
  }
  const port = groups?.['port'] === undefined ? DNS_PORT : Number(groups['port'])
  if (port < 1 || port > 65_535) {
    throw new PermError('dns/malformed', `${field}: the port is not between 1 and 65535`)
  }
  return { address, port, trusted: isLoopback(address) }
}

/** The form that `parseServer` reads. */
export function formatServer({ address, port }: DnsServer): string {
  return isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`
}

/** The machine's own resolvers, as Node found them. */
export function systemServers(): DnsServer[] {
  return getServers().map((text) => parseServer(text, 'system DNS server'))
}

/** 127.0.0.0/8 and ::1. */
export function isLoopback(address: string): boolean {
  if (isIP(address) === 4) return address.startsWith('127.')
  return isIP(address) === 6 && /^[0:]*:0*1$/.test(address)
}
