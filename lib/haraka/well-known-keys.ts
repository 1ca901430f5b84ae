// The Web Key Directory of our own domains: draft-koch-openpgp-webkey-service section 3.1, both methods, and the policy file of
// section 4.5. docs/keys.md.
import type { Services } from '../services/services.ts'
import type { WellKnownPages } from './well-known.ts'

const PATH =
  /^\/\.well-known\/openpgpkey\/(?:(?<domain>[A-Za-z0-9.-]+)\/)?(?:policy|hu\/(?<hash>[a-z0-9]{32}))(?:\?.*)?$/
const LABEL = 'openpgpkey.'

export function keyPages({
  table,
  ownPublicKeys,
}: Pick<Services, 'table' | 'ownPublicKeys'>): WellKnownPages {
  return {
    name: 'openpgpkey',
    headers: { 'Content-Type': 'application/octet-stream', 'Access-Control-Allow-Origin': '*' },
    has: (path) => PATH.test(path),
    async bodyFor(host, path) {
      const { domain: named, hash } = PATH.exec(path)?.groups ?? {}
      const domain = domainOf(host, named?.toLowerCase())
      if (domain === undefined || !table.current().isLocal(domain)) return undefined
      if (hash !== undefined) return (await ownPublicKeys.byWebHash(domain, hash))?.bytes
      // Nothing is asked of who wants to publish: there is no submission.
      return (await ownPublicKeys.hasAny('openpgp', domain)) ? new Uint8Array() : undefined
    },
  }
}

/** Of the advanced method host and path name the domain, of the direct one the host alone. */
function domainOf(host: string, named: string | undefined): string | undefined {
  if (named === undefined) return host
  return host === LABEL + named ? named : undefined
}
