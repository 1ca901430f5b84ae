// A message that arrives: opened by our own keys, for those whom it was meant for. RFC 8551 section 3.
import { HishoError, PermError, TempError } from '../errors.ts'
import { fieldsNamed, formatQuoted } from '../mail/header.ts'
import { LARGE_BYTES, piecesOf } from '../mail/large-bytes.ts'
import { closeBody, readMessage, type Message } from '../mail/message.ts'
import { isNamedInside } from '../mail/binding.ts'
import { restoreEntity } from '../mail/protected-header.ts'
import type { ContentSignature, Opening } from '../mail/scheme.ts'
import type { Opened } from './jobs.ts'
import { readCms } from './mime.ts'
import { openingKeys, type SmimeCandidate, type SmimeKeySource } from './own-keys.ts'
import { joined } from './pool.ts'
import { smimeSettings } from './settings.ts'
import {
  authorDomain,
  judgeSignature,
  type JudgedSignature,
  type VerificationOptions,
} from './verification.ts'

export interface ArrivalOptions extends VerificationOptions {
  readonly keys: SmimeKeySource
  /** Whether a key of the whole domain opens what does not name its recipients inside. */
  readonly opensUnbound: () => boolean
}

const FOR_OTHERS = closed('sealed for others')

export async function openFor(
  message: Message,
  addresses: readonly string[],
  options: ArrivalOptions,
): Promise<Opening> {
  try {
    const cms = await readCms(message)
    // What is large is given away at the first try.
    const isLarge = cms.length >= LARGE_BYTES
    const held = await (isLarge ? options.keys.latest() : options.keys.contents())
    const found = await openWith(cms, message, openingKeys(held, addresses), options)
    if (found) return await release(found, message, options)
    if (isLarge) return FOR_OTHERS
    // An operator may have put the key there just now.
    const latest = await options.keys.latest()
    if (latest === held) return FOR_OTHERS
    const again = await openWith(cms, message, openingKeys(latest, addresses), options)
    return again ? await release(again, message, options) : FOR_OTHERS
  } catch (error) {
    if (error instanceof PermError) return closed(`${error.code}: ${error.message}`)
    throw error
  } finally {
    await closeBody(message)
  }
}

interface Found {
  readonly opened: Opened
  /** Those of ours for which it was sealed. */
  readonly openers: readonly SmimeCandidate[]
}

async function openWith(
  cms: Uint8Array,
  { fields }: Message,
  candidates: readonly SmimeCandidate[],
  { pool, settingsOf }: ArrivalOptions,
): Promise<Found | undefined> {
  if (candidates.length === 0) return undefined
  const isOne = fieldsNamed(fields, 'from').length === 1
  const isLegacy = isOne && smimeSettings(settingsOf(authorDomain(fields))).legacy
  const secrets = joined(candidates.map(({ key }) => key.secret.bytes))
  try {
    const certificates = joined(candidates.map(({ certificate }) => certificate))
    const opened = await pool.run(
      'open',
      { cms, certificates, secrets, weak: isLegacy ? 'open' : 'refuse' },
      cms.length >= LARGE_BYTES ? 'give' : 'keep',
    )
    return opened && { opened, openers: opened.keyIndexes.flatMap((at) => candidates[at] ?? []) }
  } finally {
    secrets.fill(0)
  }
}

async function release(
  { opened, openers }: Found,
  outer: Message,
  options: ArrivalOptions,
): Promise<Opening> {
  const restored = await restoreEntity(outer.fields, await readMessage(piecesOf(opened.entity)))
  try {
    const meant = openers.flatMap(({ isOfDomain, addresses }) =>
      isOfDomain ? addresses.filter((one) => isNamedInside(one, restored, options)) : addresses,
    )
    if (meant.length === 0) {
      await closeBody(restored.message)
      return closed('it does not name these recipients inside')
    }
    const judged =
      opened.check && (await judgeSignature(opened.check, restored.message.fields, options))
    const signature = judged && (restored.fromMismatch ? doubted(judged) : judged.signature)
    // Of CBC nothing shows who has altered what: only who has signed it does (RFC 8551 section 6).
    if (!opened.isAuthenticated && judged?.outcome.status === 'unsettled')
      throw new TempError('smime/revocation', judged.outcome.reason)
    const isProven = opened.isAuthenticated || judged?.outcome.status === 'good'
    return {
      status: 'opened',
      addresses: [...new Set(meant)],
      description: descriptionOf(opened, openers),
      integrity: isProven ? 'ok' : 'unproven',
      ...(signature && { signature }),
      sealedKeyId: opened.sealedKeyId,
      message: restored.message,
    }
  } catch (error) {
    if (error instanceof HishoError) await closeBody(restored.message)
    throw error
  }
}

/** What is shown as the author comes from outside, and nobody has signed it. */
function doubted({ signature }: JudgedSignature): ContentSignature {
  const { method, result } = signature
  if (result.status !== 'pass') return signature
  const reason = 'the author inside is not the one outside'
  return { method, result: { ...result, status: 'neutral', reason } }
}

function descriptionOf(
  { cipher, transport, isWeak }: Opened,
  openers: readonly SmimeCandidate[],
): string {
  const ids = openers.map(({ key }) => formatQuoted(key.id)).join(',')
  const strength = isWeak ? '; strength=weak' : ''
  return `smime; key=${ids}; cipher=${cipher}; transport=${transport}${strength}`
}

function closed(reason: string): Opening {
  return { status: 'closed', reason }
}
