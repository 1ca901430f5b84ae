// What signatures over some content say. In the workers. RFC 9580 section 5.2.
import {
  createMessage,
  enums,
  PacketList,
  readSignature,
  Signature,
  verify as check,
  type Key,
  SignaturePacket,
} from 'openpgp'
import { digestFor } from './digests.ts'
import { MOST_SIGNATURES } from './limits.ts'
import type { ParsedKeys } from './parsed-keys.ts'

export type SignatureFacts =
  | { readonly status: 'good'; readonly fingerprint: string }
  /** Good when it was made; since then its key has been revoked, or has expired. */
  | { readonly status: 'outdated'; readonly fingerprint: string }
  | { readonly status: 'bad'; readonly fingerprint: string }
  /** Made by no key that we were given. */
  | { readonly status: 'unknown' }

interface VerifyArgs {
  readonly content: Uint8Array
  readonly signatures: Uint8Array
  readonly certificates: readonly Uint8Array[]
  /** What each of the signatures is over, in the place of content. */
  readonly digests?: readonly Uint8Array[]
}

/** Of content that has none, or whose signatures are none or too many: nothing. */
export async function verify(args: VerifyArgs, parsed: ParsedKeys): Promise<SignatureFacts[]> {
  const packets = await packetsOf(args.signatures)
  if (packets.length === 0 || packets.length > MOST_SIGNATURES) return []
  const keys = await parsed.certificates(args.certificates)
  packets.forEach((packet, at) => useDigest(packet, args.digests?.[at]))
  return Promise.all(packets.map((packet) => factsOf(packet, keys, args.content)))
}

/** The library then takes it for what it has hashed while the content passed by. */
function useDigest(packet: SignaturePacket, digest: Uint8Array | undefined): void {
  if (digest) Object.assign(packet, { hashed: digest })
}

/** For `verify`, from whoever has the content. */
export async function digestsOf(
  signatures: Uint8Array,
  content: Uint8Array,
): Promise<Uint8Array[]> {
  return (await packetsOf(signatures)).map((packet) => digestFor(packet, content))
}

async function packetsOf(bytes: Uint8Array): Promise<readonly SignaturePacket[]> {
  try {
    const { packets } = await readSignature({ binarySignature: bytes })
    // It takes a whole signed message too, as what it promises not to be.
    return packets.every((packet) => packet instanceof SignaturePacket) ? [...packets] : []
  } catch {
    return []
  }
}

async function factsOf(
  packet: SignaturePacket,
  keys: readonly Key[],
  content: Uint8Array,
): Promise<SignatureFacts> {
  const { issuerKeyID, signatureType } = packet
  const isOfContent =
    signatureType === enums.signature.binary || signatureType === enums.signature.text
  const key = keys.find((one) => one.getKeyIDs().some((id) => id.equals(issuerKeyID)))
  if (!key) return { status: 'unknown' }
  const fingerprint = key.getFingerprint()
  const list = new PacketList<SignaturePacket>()
  list.push(packet)
  const { signatures } = await check({
    message: await createMessage({ binary: content }),
    signature: new Signature(list),
    verificationKeys: key,
    format: 'binary',
  })
  const isGood = await Promise.all(signatures.map(({ verified }) => verified)).then(
    (all) => all.length === 1,
    () => false,
  )
  if (!isGood || !isOfContent) return { status: 'bad', fingerprint }
  const isValidNow = await key.getSigningKey(issuerKeyID).then(
    () => true,
    () => false,
  )
  return { status: isValidNow ? 'good' : 'outdated', fingerprint }
}
