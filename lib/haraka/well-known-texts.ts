// What our own domains publish beside DNS: their public parameters, and their MTA-STS policy.
import type { Ibe } from '../ibe/ibe.ts'
import { ownRecords } from '../services/own-records.ts'
import type { Services } from '../services/services.ts'
import type { VaultContents } from '../vault/contents.ts'
import type { WellKnownText } from './well-known.ts'

export interface ParameterTextOptions extends Pick<Services, 'table' | 'keyRing'> {
  readonly ibe: Pick<Ibe, 'signRecord'>
}

/** One record a line. Made once for each contents of the vault: each signature in a record is a multiplication. */
export function parameterText({ table, keyRing, ibe }: ParameterTextOptions): WellKnownText {
  const known = new WeakMap<VaultContents, Map<string, Promise<string>>>()
  return {
    path: '/.well-known/ibemail.txt',
    label: 'ibemail',
    async textFor(domain) {
      if (!table.current().isLocal(domain)) return ''
      const contents = await keyRing.latest()
      const texts = known.get(contents) ?? new Map<string, Promise<string>>()
      known.set(contents, texts)
      const held = texts.get(domain)
      if (held) return held
      const making = ownRecords(ibe, contents, domain).then((records) =>
        records.map(({ text }) => `${text}\n`).join(''),
      )
      texts.set(domain, making)
      // A failure is nobody's text.
      making.catch(() => texts.delete(domain))
      return making
    },
  }
}

/** RFC 8461 section 3.3. */
export function policyText({ hostedPolicies }: Pick<Services, 'hostedPolicies'>): WellKnownText {
  return {
    path: '/.well-known/mta-sts.txt',
    label: 'mta-sts',
    textFor: async (domain) => (await hostedPolicies.served(domain))?.text ?? '',
  }
}
