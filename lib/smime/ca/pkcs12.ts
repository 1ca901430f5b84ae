// PKCS #12 for users and their mail programs: RFC 7292, with PBES2 (AES-256, PBKDF2 with HMAC-SHA-256: RFC 8018) and a MAC by
// HMAC-SHA-256. pkijs does the form; the password is ASCII, since the two parts of the format encode others differently.
import { createPrivateKey, webcrypto } from 'node:crypto'
import { BmpString, OctetString } from 'asn1js'
import {
  Attribute,
  AuthenticatedSafe,
  Certificate,
  CertBag,
  CryptoEngine,
  PFX,
  PKCS8ShroudedKeyBag,
  PrivateKeyInfo,
  SafeBag,
  SafeContents,
} from 'pkijs'
import { SecretBytes } from '../../crypto/secret-bytes.ts'
import { HishoError, PermError } from '../../errors.ts'
import { keyFirst, type CertifiedKey } from './certified-key.ts'

/** Five times those of OpenSSL: each of the MAC's is a turn of the event loop, and the passphrase that we make needs none. */
const ITERATIONS = 10_000
const ID = {
  keyBag: '1.2.840.113549.1.12.10.1.2',
  certificateBag: '1.2.840.113549.1.12.10.1.3',
  friendlyName: '1.2.840.113549.1.9.20',
  localKeyId: '1.2.840.113549.1.9.21',
} as const
/** What AuthenticatedSafe calls these. */
const PRIVACY = { none: 0, password: 1 } as const

function newEngine(): CryptoEngine {
  return new CryptoEngine({ name: 'hisho', crypto: webcrypto })
}

/** DER. `name` is what mail programs show. */
export async function formatPkcs12(
  { secret, certificates }: CertifiedKey,
  name: string,
  passphrase: SecretBytes,
): Promise<Uint8Array> {
  const engine = newEngine()
  const password = passwordOf(passphrase)
  const encryption = {
    contentEncryptionAlgorithm: { name: 'AES-CBC', length: 256 },
    hmacHashAlgorithm: 'SHA-256',
    iterationCount: ITERATIONS,
  }
  const shrouded = new PKCS8ShroudedKeyBag({
    parsedValue: PrivateKeyInfo.fromBER(secret.bytes),
  })
  await shrouded.makeInternalValues({ ...encryption, password }, engine)
  const keyBag = new SafeBag({
    bagId: ID.keyBag,
    bagValue: shrouded,
    bagAttributes: attributesOf(name),
  })
  const certificateBags = certificates.map(
    (der, at) =>
      new SafeBag({
        bagId: ID.certificateBag,
        bagValue: new CertBag({ parsedValue: Certificate.fromBER(der) }),
        ...(at === 0 && { bagAttributes: attributesOf(name) }),
      }),
  )
  const file = new PFX({
    parsedValue: {
      integrityMode: 0,
      authenticatedSafe: new AuthenticatedSafe({
        parsedValue: {
          safeContents: [
            { privacyMode: PRIVACY.none, value: new SafeContents({ safeBags: [keyBag] }) },
            {
              privacyMode: PRIVACY.password,
              value: new SafeContents({ safeBags: certificateBags }),
            },
          ],
        },
      }),
    },
  })
  await file.parsedValue?.authenticatedSafe?.makeInternalValues(
    { safeContents: [{}, { ...encryption, password }] },
    engine,
  )
  await file.makeInternalValues(
    {
      password,
      iterations: ITERATIONS,
      pbkdf2HashAlgorithm: 'SHA-256',
      hmacHashAlgorithm: 'SHA-256',
    },
    engine,
  )
  return new Uint8Array(file.toSchema().toBER())
}

/** So that programs know which certificate is the key's. */
function attributesOf(name: string): Attribute[] {
  return [
    new Attribute({ type: ID.friendlyName, values: [new BmpString({ value: name })] }),
    new Attribute({
      type: ID.localKeyId,
      values: [new OctetString({ valueHex: Uint8Array.of(1).buffer })],
    }),
  ]
}

/** PermError cli/usage: no such file, another passphrase, or made with ciphers that are too old. */
export async function parsePkcs12(der: Uint8Array, passphrase: SecretBytes): Promise<CertifiedKey> {
  try {
    const bags = await openBags(der, passwordOf(passphrase))
    const keys = bags.filter(({ bagId }) => bagId === ID.keyBag)
    const [key] = keys
    if (key === undefined || keys.length > 1) throw new Error('it has not one key')
    return keyFirst(await openKey(key, passphrase), bags.flatMap(certificateIn))
  } catch (error) {
    if (error instanceof HishoError) throw error
    throw new PermError(
      'cli/usage',
      'the PKCS #12 file does not open: another passphrase, or made with old ciphers (openssl pkcs12 -legacy reads these)',
      { cause: error },
    )
  }
}

async function openBags(der: Uint8Array, password: ArrayBuffer): Promise<readonly SafeBag[]> {
  const engine = newEngine()
  const file = PFX.fromBER(der)
  await file.parseInternalValues({ password, checkIntegrity: true }, engine)
  const safe = file.parsedValue?.authenticatedSafe
  if (safe === undefined) throw new Error('it has no contents')
  await safe.parseInternalValues(
    { safeContents: safe.safeContents.map(() => ({ password })) },
    engine,
  )
  const contents: readonly { readonly value: SafeContents }[] = safe.parsedValue.safeContents
  return contents.flatMap(({ value }) => value.safeBags)
}

async function openKey({ bagValue }: SafeBag, passphrase: SecretBytes): Promise<SecretBytes> {
  if (!(bagValue instanceof PKCS8ShroudedKeyBag)) throw new Error('its key is not encrypted')
  // EncryptedPrivateKeyInfo, which Node opens by itself.
  const key = createPrivateKey({
    key: Buffer.from(bagValue.toSchema().toBER()),
    format: 'der',
    type: 'pkcs8',
    passphrase: Buffer.from(passphrase.bytes),
  })
  return new SecretBytes(Uint8Array.from(key.export({ type: 'pkcs8', format: 'der' })))
}

function certificateIn({ bagId, bagValue }: SafeBag): readonly Uint8Array[] {
  if (bagId !== ID.certificateBag || !(bagValue instanceof CertBag)) return []
  // Its very bytes: what pkijs has parsed of them might be written otherwise.
  const value: unknown = bagValue.certValue
  return value instanceof OctetString ? [new Uint8Array(value.getValue())] : []
}

function passwordOf({ bytes }: SecretBytes): ArrayBuffer {
  if (bytes.length === 0 || bytes.some((byte) => byte < 0x20 || byte > 0x7e))
    throw new PermError('cli/usage', 'the passphrase of a PKCS #12 file must be ASCII')
  return Uint8Array.from(bytes).buffer
}
