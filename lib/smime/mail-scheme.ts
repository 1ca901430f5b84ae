// S/MIME as a scheme for mail: certificates of others from the directory, keys of our own from the vault. RFC 8551,
// docs/smime.md.
import { PermError } from '../errors.ts'
import { collectWithin } from '../mail/large-bytes.ts'
import { messageBytes, type Message } from '../mail/message.ts'
import { protectedEntity } from '../mail/protected-header.ts'
import type { Offer, OfferRequest, Scheme, Sealing } from '../mail/scheme.ts'
import { smimeContentOf } from '../mail/smime-content.ts'
import { openFor, type ArrivalOptions } from './arrival.ts'
import { LARGEST_MESSAGE_BYTES } from './limits.ts'
import { formatEncrypted, isMultipartSigned } from './mime.ts'
import { findRecipients, type Recipients } from './offer.ts'
import { signingKey } from './own-keys.ts'
import { joined } from './pool.ts'
import { remembered } from './remembered.ts'
import { SMIME, smimeSettings, type SmimeSettings } from './settings.ts'
import { canBeSealedFor, verifyMessage } from './verification.ts'

export type SmimeSchemeOptions = Omit<ArrivalOptions, 'isUsable'>

const MOST_CERTIFICATES = 512

export function createSmimeScheme(given: SmimeSchemeOptions): Scheme {
  const options = { ...given, isUsable: remembered(canBeSealedFor, MOST_CERTIFICATES) }
  return {
    name: SMIME.name,
    detect: (fields, start) => smimeContentOf(fields, start) === 'enveloped',
    offer: (request) => offerFor(request, options),
    open: (message, addresses) => openFor(message, addresses, options),
    detectSigned: (fields, start) =>
      isMultipartSigned(fields) || smimeContentOf(fields, start) === 'signed',
    verify: (message) => verifyMessage(message, options),
  }
}

async function offerFor(
  request: OfferRequest,
  options: SmimeSchemeOptions,
): Promise<Offer | undefined> {
  const recipients = await findRecipients(request, options)
  if (!recipients) return undefined
  const { keys, untrusted } = recipients
  const settings = smimeSettings(request.settings)
  return {
    scheme: SMIME.name,
    description: descriptionOf(settings, recipients),
    ...(request.addresses.length > 0 && { addresses: [...keys.keys()] }),
    ...(untrusted !== undefined && { untrusted }),
    seal: (addresses, message, sealing) =>
      formatEncrypted(message.fields, settings.profile, () =>
        ciphertextFor(addresses, message, sealing, { recipients, settings, options }),
      ),
  }
}

function descriptionOf({ profile }: SmimeSettings, { keys }: Recipients): string {
  const all = [
    ...new Set([...keys.values()].map((key) => `${key.fingerprint.slice(0, 16)} (${key.source})`)),
  ]
  const more = all.length > 2 ? ` and ${all.length - 2} more` : ''
  return `smime ${profile}, ${all.slice(0, 2).join(', ')}${more}`
}

interface SealingParts {
  readonly recipients: Recipients
  readonly settings: SmimeSettings
  readonly options: SmimeSchemeOptions
}

async function ciphertextFor(
  addresses: readonly string[],
  message: Message,
  { author }: Sealing,
  { recipients, settings, options }: SealingParts,
): Promise<readonly Uint8Array[]> {
  const { pool, keys, clock, log } = options
  const atMs = clock.nowMs()
  const signer = author === undefined ? undefined : signingKey(await keys.contents(), author, atMs)
  if (!signer) log('notice', `smime: sealed unsigned, without a key to sign for ${author ?? '<>'}`)
  const source = messageBytes(protectedEntity(message, addresses))
  const args = {
    entity: await collectWithin(source, LARGEST_MESSAGE_BYTES, tooLong),
    recipients: joined(certificatesFor(recipients, addresses)),
    profile: settings.profile,
    signerSecret: Uint8Array.from(signer?.secret.bytes ?? []),
    signerCertificates: joined(signer?.certificates ?? []),
    atMs,
  }
  try {
    return (await pool.run('seal', args, 'give')).pieces
  } finally {
    args.signerSecret.fill(0)
  }
}

function tooLong(): PermError {
  return new PermError('protection/limit', `longer than ${LARGEST_MESSAGE_BYTES} octets`)
}

/** Of an offer that was made for a domain as such, its one certificate. */
function certificatesFor({ keys }: Recipients, addresses: readonly string[]): Uint8Array[] {
  const byFingerprint = new Map<string, Uint8Array>()
  for (const address of addresses) {
    const key = keys.get(address) ?? keys.get(address.slice(address.lastIndexOf('@') + 1))
    if (!key) throw new PermError('smime/certificate', `${address} is not among those with a key`)
    byFingerprint.set(key.fingerprint, key.bytes)
  }
  return [...byFingerprint.values()]
}
