// Signing a message: the field to put on top of it.
import { nowSeconds, type Clock } from '../../clock.ts'
import { PermError } from '../../errors.ts'
import { relaxedBodyHash } from '../../mail/canonical.ts'
import type { Field } from '../../mail/header.ts'
import type { Message } from '../../mail/message.ts'
import type { SigningGeneration } from '../../mail/signature.ts'
import type { KeySource } from '../key-source.ts'
import { periodAt } from '../period.ts'
import type { SignatureEngine } from './engine.ts'
import { formatSignatureField, withSignature } from './field.ts'
import { headerDigest, namesToSign } from './signed-fields.ts'

export interface SigningOptions {
  readonly engine: Pick<SignatureEngine, 'sign'>
  readonly keys: Pick<KeySource, 'identityKey'>
  readonly clock: Clock
  readonly lifetimeSeconds: number
}

/** How many names h may hold: as many fit into a tag list, and no honest message has more (RFC 5322 section 3.6). */
const NAMES_MAX = 100

/** The body is read to its end. */
export async function signMessage(
  message: Message,
  address: string,
  generation: SigningGeneration,
  { engine, keys, clock, lifetimeSeconds }: SigningOptions,
): Promise<Field> {
  const timeSeconds = nowSeconds(clock)
  const period = periodAt(generation.period, timeSeconds * 1000)
  const identity = period === undefined ? address : `${address}#${period}` // normalised already
  const domain = address.slice(address.lastIndexOf('@') + 1)
  const signedFields = namesToSign(message.fields)
  if (signedFields.length > NAMES_MAX)
    throw new PermError('mail/malformed', 'more header fields than a signature can list')
  const bodyHash = await relaxedBodyHash(message.body)
  const tags = {
    domain,
    address,
    n: generation.n,
    ...(period === undefined ? {} : { period }),
    timeSeconds,
    expirySeconds: timeSeconds + lifetimeSeconds,
    signedFields,
    bodyHash,
  }
  const unsigned = formatSignatureField(tags)
  const digest = headerDigest(message.fields, signedFields, unsigned)
  const request = { scheme: 'cc', domain, n: generation.n, identity } as const
  const identityKey = await keys.identityKey(request)
  if (identityKey === undefined)
    throw new PermError(
      'protection/no-key',
      `no key n=${generation.n} for ${identity} to sign with`,
    )
  try {
    const signature = await engine.sign({ identityKey, identity, digest })
    return withSignature(unsigned, signature)
  } finally {
    identityKey.wipe()
  }
}
