// The policy from its host: RFC 8461 section 3.3. What went wrong is said in the words of RFC 8460 section 4.3.2.2.
import { PermError } from '../errors.ts'
import type { FetchText } from '../http/fetch-text.ts'
import type { StsFailure } from './outcome.ts'
import { parsePolicy, type Policy } from './policy.ts'

export type FetchedPolicy =
  | { readonly status: 'found'; readonly policy: Policy; readonly text: string }
  | { readonly status: 'failed'; readonly failure: StsFailure }

/** Of a policy domain as A-labels. Never rejects. */
export type FetchPolicy = (domain: string) => Promise<FetchedPolicy>

/** Over a text client that goes to public addresses alone, in one minute at most. */
export function createPolicyFetcher(fetchText: FetchText): FetchPolicy {
  return async (domain) => {
    const host = `mta-sts.${domain}`
    const outcome = await fetchText(host, '/.well-known/mta-sts.txt')
    switch (outcome.status) {
      case 'found':
        return read(outcome.text)
      case 'absent':
        return failed('sts-policy-fetch-error', `${host} has no policy`)
      case 'unusable':
        return failed(
          outcome.failure === 'certificate' ? 'sts-webpki-invalid' : 'sts-policy-fetch-error',
          outcome.reason,
        )
    }
  }
}

function read(text: string): FetchedPolicy {
  try {
    return { status: 'found', policy: parsePolicy(text), text }
  } catch (error) {
    if (!(error instanceof PermError)) throw error
    return failed('sts-policy-invalid', error.message)
  }
}

function failed(resultType: StsFailure['resultType'], reason: string): FetchedPolicy {
  return { status: 'failed', failure: { resultType, reason } }
}
