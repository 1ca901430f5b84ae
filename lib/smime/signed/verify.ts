// What SignedData says, and who says it: the signatures of check.ts, and a trusted path for each signer.
import { createHash } from 'node:crypto'
import { parseCertificate } from '../../x509/certificate.ts'
import { addressesOf } from '../certificate-addresses.ts'
import type { RevocationMode } from '../trust/revocation-mode.ts'
import type { Trust } from '../trust/trust.ts'
import { checkSignatures, type IntactSigner, type SignatureCheck } from './check.ts'

export interface Signer {
  /** DER. */
  readonly certificate: Uint8Array
  /** SHA-256 of it, hexadecimal. */
  readonly fingerprint: string
  /** In lower case. */
  readonly addresses: readonly string[]
  /** When they say that they signed. */
  readonly signedAtMs: number | undefined
}

interface Signed {
  /** Not empty. */
  readonly signers: readonly Signer[]
  /** All that came with it, DER. */
  readonly certificates: readonly Uint8Array[]
  /** Of the opaque form. It is what was signed, whether or not the signers are trusted. */
  readonly content: Uint8Array | undefined
}

/** Only `good` may ever be shown as verified. */
export type SignedOutcome =
  /** Every signature is good, and every signer trusted. */
  | ({ readonly status: 'good'; readonly notes: readonly string[] } & Signed)
  /** Every signature is good, and whose they are is not proven. */
  | ({ readonly status: 'untrusted'; readonly reason: string } & Signed)
  /** Whether they are trusted nobody can say now. */
  | ({ readonly status: 'unsettled'; readonly reason: string } & Signed)
  | { readonly status: 'bad'; readonly reason: string }

export interface VerifyOptions {
  readonly at: Date
  readonly revocation?: RevocationMode
}

/** Clocks differ: by more than this nobody signs in the future. */
const MAX_AHEAD_MS = 86_400_000

/** `detached`: the content beside it. Never throws for what the bytes say. */
export async function verifySigned(
  cms: Uint8Array,
  detached: Uint8Array | undefined,
  trust: Trust,
  options: VerifyOptions,
): Promise<SignedOutcome> {
  return judgeTrust(checkSignatures(cms, detached), trust, options)
}

/** The second half, for a check that was made elsewhere. */
export async function judgeTrust(
  check: SignatureCheck,
  trust: Trust,
  { at, revocation }: VerifyOptions,
): Promise<SignedOutcome> {
  if (check.status === 'bad') return check
  const { content, certificates } = check
  const signed = { content, certificates, signers: check.signers.map(describe) }
  const notes: string[] = []
  for (const signer of check.signers) {
    const wrong = timeProblem(signer, at)
    if (wrong !== undefined) return { status: 'untrusted', reason: wrong, ...signed }
    const outcome = await trust.checkChain(signer.certificate, certificates, {
      use: 'signing',
      at,
      ...(revocation !== undefined && { revocation }),
    })
    if (outcome.status !== 'trusted') return { ...outcome, ...signed }
    notes.push(...outcome.notes)
  }
  return { status: 'good', notes, ...signed }
}

/** RFC 8551 section 2.5.1: what they say of the time; whether it is true is another matter. */
function timeProblem({ certificate, signedAtMs }: IntactSigner, at: Date): string | undefined {
  if (signedAtMs === undefined) return undefined
  const { notBeforeMs, notAfterMs } = parseCertificate(certificate)
  if (signedAtMs > at.getTime() + MAX_AHEAD_MS) return 'it was signed in the future'
  const isWithin = signedAtMs >= notBeforeMs && signedAtMs <= notAfterMs
  return isWithin ? undefined : 'it was signed while its certificate was not valid'
}

function describe({ certificate, signedAtMs }: IntactSigner): Signer {
  return {
    certificate,
    fingerprint: createHash('sha256').update(certificate).digest('hex'),
    addresses: addressesOf(parseCertificate(certificate)),
    signedAtMs,
  }
}
