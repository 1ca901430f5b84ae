// OpenPGP as a scheme for mail: PGP/MIME (RFC 3156), keys of others from the directory, our own from the vault. docs/openpgp.md.
import { PermError } from '../errors.ts'
import { contentTypeOf } from '../mail/content-type.ts'
import { collectWithin } from '../mail/large-bytes.ts'
import { messageBytes, type Message } from '../mail/message.ts'
import { freshBoundary } from '../mail/multipart-encrypted.ts'
import { malformed } from '../mail/part-reader.ts'
import { protectedEntity } from '../mail/protected-header.ts'
import type { ContentSignature, Offer, OfferRequest, Scheme, Sealing } from '../mail/scheme.ts'
import { hasProtocol, readTwoParts } from '../mail/two-parts.ts'
import { openFor, type ArrivalOptions } from './arrival.ts'
import { readArmor } from './armor.ts'
import { judgeAuthor } from './author.ts'
import { LARGEST_MESSAGE_BYTES } from './limits.ts'
import { formatEncrypted, isEncrypted } from './mime.ts'
import { findRecipients, type Recipients } from './offer.ts'
import { copies, wipe } from './openpgp.ts'
import { signingKeys } from './own-keys.ts'
import { OPENPGP } from './settings.ts'

const SIGNATURE_PROTOCOL = 'application/pgp-signature'

export type OpenPgpSchemeOptions = ArrivalOptions

export function createOpenPgpScheme(options: OpenPgpSchemeOptions): Scheme {
  return {
    name: OPENPGP.name,
    detect: (fields) => isEncrypted(fields),
    offer: (request) => offerFor(request, options),
    open: (message, addresses) => openFor(message, addresses, options),
    detectSigned: (fields) => hasProtocol(fields, 'multipart/signed', SIGNATURE_PROTOCOL),
    verify: (message) => verify(message, options),
  }
}

async function offerFor(
  request: OfferRequest,
  options: OpenPgpSchemeOptions,
): Promise<Offer | undefined> {
  const recipients = await findRecipients(request, options)
  if (!recipients) return undefined
  const { keys, untrusted } = recipients
  return {
    scheme: OPENPGP.name,
    description: descriptionOf(recipients),
    ...(request.addresses.length > 0 && { addresses: [...keys.keys()] }),
    ...(untrusted !== undefined && { untrusted }),
    seal: (addresses, message, sealing) =>
      formatEncrypted(
        message.fields,
        () =>
          ciphertextFor(
            certificatesFor(recipients, addresses),
            addresses,
            message,
            sealing,
            options,
          ),
        freshBoundary(),
      ),
  }
}

function descriptionOf({ keys }: Recipients): string {
  const all = new Set([...keys.values()].map((key) => `${key.fingerprint} (${key.source})`))
  const more = all.size > 2 ? ` and ${all.size - 2} more` : ''
  return `openpgp ${[...all].slice(0, 2).join(', ')}${more}`
}

/** Of an offer that was made for a domain as such, its one key. */
function certificatesFor({ keys }: Recipients, addresses: readonly string[]): Uint8Array[] {
  const byFingerprint = new Map<string, Uint8Array>()
  for (const address of addresses) {
    const key = keys.get(address) ?? keys.get(address.slice(address.lastIndexOf('@') + 1))
    if (!key) throw new PermError('openpgp/key', `${address} is not among those with a key`)
    byFingerprint.set(key.fingerprint, key.bytes)
  }
  return copies([...byFingerprint.values()])
}

async function ciphertextFor(
  certificates: readonly Uint8Array[],
  addresses: readonly string[],
  message: Message,
  { author }: Sealing,
  { pool, keys }: OpenPgpSchemeOptions,
): Promise<readonly Uint8Array[]> {
  const signers = author === undefined ? [] : signingKeys(await keys.contents(), author)
  const secretKeys = copies(signers.map(({ secret }) => secret))
  try {
    const entity = messageBytes(protectedEntity(message, addresses))
    const content = await collectWithin(entity, LARGEST_MESSAGE_BYTES, tooLong)
    return (await pool.run('seal', { content, certificates, secretKeys }, 'give')).packets
  } finally {
    wipe(secretKeys)
  }
}

function tooLong(): PermError {
  return new PermError('protection/limit', `longer than ${LARGEST_MESSAGE_BYTES} bytes`)
}

/** RFC 3156 section 5. */
async function verify(message: Message, options: OpenPgpSchemeOptions): Promise<ContentSignature> {
  try {
    const [signed, signature] = await readTwoParts(message, LARGEST_MESSAGE_BYTES)
    if (contentTypeOf(signature.fields)?.type !== SIGNATURE_PROTOCOL)
      throw malformed('second part: no signature')
    const signatures = readArmor('SIGNATURE', signature.body)
    return await judgeAuthor({ content: signed.raw, signatures, fields: message.fields }, options)
  } catch (error) {
    if (!(error instanceof PermError)) throw error
    return {
      method: 'x-openpgp',
      result: { status: 'permerror', reason: 'not signed as RFC 3156 has it' },
    }
  }
}
