// Whether a chain of certificates is what TLSA records say: RFC 7672 section 3, RFC 7671 section 5.
import type { TlsaRecord } from '../dns/records.ts'
import { isForHost } from '../x509/host-name.ts'
import { pathProblem } from '../x509/path.ts'
import { matchesRecord } from './association.ts'
import { anchoredPaths, sendsAnchor, type AnchoredPath } from './chain.ts'
import type { DaneCheck, DaneUsable } from './outcome.ts'
import { USAGE } from './usable.ts'

export interface PresentedChain {
  /** DER, the server's own first, the others in any order. */
  readonly chain: readonly Uint8Array[]
  /** For usage 2: the base domain, and what else the server may be called (RFC 7672 section 3.2.2). */
  readonly names: readonly string[]
  readonly nowMs: number
}

type Mismatch = Extract<DaneCheck, { status: 'mismatch' }>

/** One record that matches is enough, of whichever usage: RFC 7671 section 5. Throws nothing, whatever the server sent. */
export function checkDane({ usable }: DaneUsable, presented: PresentedChain): DaneCheck {
  const [own] = presented.chain
  if (own === undefined) return mismatch('validation-failure', 'the server sent no certificate')
  try {
    // RFC 7672 section 3.1.1: nothing but the association counts, neither names nor dates.
    const record = usable.find((one) => one.usage === USAGE.daneEe && matchesRecord(one, own))
    if (record) return { status: 'match', record }
    const anchors = usable.filter(({ usage }) => usage === USAGE.daneTa)
    return checkChain(own, anchors, presented)
  } catch {
    // OpenSSL's text would say no more, and it is the server's choice what is in it.
    return mismatch('validation-failure', 'the server sent a certificate that cannot be read')
  }
}

/** RFC 7672 section 3.1.2. */
function checkChain(
  own: Uint8Array,
  anchors: readonly TlsaRecord[],
  { chain, names, nowMs }: PresentedChain,
): DaneCheck {
  let first: Mismatch | undefined
  if (anchors.length > 0) {
    // RFC 7672 section 3.2.3: the common name counts where there is no DNS-ID.
    const proven = names.filter((name) => isForHost(own, name, 'fallback'))
    for (const anchored of anchoredPaths(chain, anchors)) {
      const check = checkPath(anchored, proven, { names, nowMs })
      if (check.status === 'match') return check
      first ??= check
    }
  }
  if (first) return first
  return sendsAnchor(chain, anchors)
    ? mismatch('certificate-not-trusted', 'its certificate does not come from the issuer in DNS')
    : mismatch('tlsa-invalid', 'its certificates are none of those in DNS')
}

function checkPath(
  { path, record }: AnchoredPath,
  proven: readonly string[],
  { names, nowMs }: Pick<PresentedChain, 'names' | 'nowMs'>,
): DaneCheck {
  const problem = pathProblem(path, { nowMs, commonNames: proven })
  if (problem)
    return mismatch(
      problem.kind === 'out-of-date' ? 'certificate-expired' : 'certificate-not-trusted',
      problem.reason,
    )
  return proven.length > 0
    ? { status: 'match', record }
    : mismatch('certificate-host-mismatch', `its certificate is not for ${names.join(' or ')}`)
}

function mismatch(resultType: Mismatch['resultType'], reason: string): Mismatch {
  return { status: 'mismatch', resultType, reason }
}
