// OpenPGP keys on a domain's web server, which a certificate for exactly that host vouches for: the Web Key Directory,
// draft-koch-openpgp-webkey-service section 3.1.
import { TempError, PermError } from '../errors.ts'
import type { BytesOutcome, FetchBytes } from '../http/fetch-bytes.ts'
import type { KeyFormat } from '../mail/correspondent-keys.ts'
import type { Finding, TimedFinding } from './finding.ts'
import { webPlacesOf } from './names.ts'

/** Where the server says nothing. */
const DEFAULT_TTL_SECONDS = 3600

/**
 * TempError keys/unreachable: nobody can say. A domain has the host `openpgpkey` for nothing else, so that its failure is
 * one; but of any domain that has none, the web server is asked, and most have never heard of this.
 */
export async function findOnWeb(
  fetchBytes: FetchBytes,
  format: KeyFormat,
  address: string,
): Promise<TimedFinding> {
  const { advanced, direct } = webPlacesOf(address)
  let outcome = await fetchBytes(advanced.host, advanced.path)
  let place = advanced.host
  // "Only if the required sub-domain does not exist", section 3.1.
  if (outcome.status === 'absent' && outcome.because === 'no-host') {
    place = direct.host
    outcome = await fetchBytes(direct.host, direct.path)
    if (isOfAnotherPurpose(outcome)) return none({ authentic: false })
  }
  if (outcome.status === 'absent') return none({ authentic: outcome.because === 'not-there' })
  if (outcome.status === 'unusable')
    throw new TempError('keys/unreachable', `${place}: its key directory: ${outcome.reason}`)
  const finding = await readFinding(format, address, outcome.bytes)
  // A web server that has a page for whatever it is asked.
  if (finding.status === 'unusable' && place === direct.host) return none({ authentic: false })
  return {
    finding,
    ttlSeconds: outcome.maxAgeSeconds ?? DEFAULT_TTL_SECONDS,
  }
}

/** Nobody there, for another host, or a web server that sends all who ask for what it does not know elsewhere. */
function isOfAnotherPurpose(outcome: BytesOutcome): boolean {
  if (outcome.status !== 'unusable') return false
  if (outcome.failure === 'certificate' || outcome.failure === 'refused') return true
  const { code = 0 } = outcome
  return code >= 300 && code < 500 && code !== 408 && code !== 429
}

async function readFinding(
  format: KeyFormat,
  address: string,
  bytes: Uint8Array,
): Promise<Finding> {
  try {
    const keys = await format.read(bytes)
    const own = keys.filter(({ addresses }) => addresses.includes(address))
    if (own.length > 0) return { status: 'found', keys: own }
    return { status: 'unusable', reason: 'no key there is of this address' }
  } catch (error) {
    if (!(error instanceof PermError)) throw error
    return { status: 'unusable', reason: error.message }
  }
}

function none({ authentic }: { readonly authentic: boolean }): TimedFinding {
  return { finding: { status: 'none', authentic }, ttlSeconds: DEFAULT_TTL_SECONDS }
}
