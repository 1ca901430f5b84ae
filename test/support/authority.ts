// A certificate authority in a few lines of code: RFC 5280 section 4.1. For shapes that only openssl makes, certificates.ts.
import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto'
import { isIP } from 'node:net'
import { AsnConvert, OctetString } from '@peculiar/asn1-schema'
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_kp_clientAuth,
  id_kp_serverAuth,
} from '@peculiar/asn1-x509'

export interface Credentials {
  /** PEM. */
  readonly certificate: string
  readonly privateKey: string
}

export interface CertificateOptions {
  /** `-1`: over since yesterday. */
  readonly days?: number
  /** `DNS:a.example, IP:192.0.2.1`; by default the name, as a DNS name. */
  readonly names?: string
  readonly usage?: 'serverAuth' | 'clientAuth'
}

export interface Authority {
  readonly certificate: string
  issue(name: string, options?: CertificateOptions): Credentials
  close(): void
}

interface Shape {
  readonly subject: string
  readonly issuer: string
  readonly days: number
  readonly extensions: readonly Extension[]
  readonly publicKey: KeyObject
  readonly signer: KeyObject
}

/** Whatever a test's clock says. */
const LONG_DAYS = 30_000
const DAY_MS = 86_400_000
const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2'
const COMMON_NAME = '2.5.4.3'

export function makeAuthority(): Authority {
  // No two have one name: which key it was would be in doubt.
  const subject = `authority ${randomBytes(8).toString('hex')}`
  const own = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return {
    certificate: certify({
      subject,
      issuer: subject,
      days: LONG_DAYS,
      publicKey: own.publicKey,
      signer: own.privateKey,
      extensions: [
        extension(id_ce_basicConstraints, new BasicConstraints({ cA: true }), 'critical'),
        extension(
          id_ce_keyUsage,
          new KeyUsage(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign),
          'critical',
        ),
      ],
    }),
    issue(name, { days = LONG_DAYS, names = `DNS:${name}`, usage } = {}) {
      const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      const purpose = { serverAuth: id_kp_serverAuth, clientAuth: id_kp_clientAuth }
      return {
        certificate: certify({
          subject: name,
          issuer: subject,
          days,
          publicKey: pair.publicKey,
          signer: own.privateKey,
          extensions: [
            ...(names === '' ? [] : [extension(id_ce_subjectAltName, alternativeNames(names))]),
            ...(usage
              ? [extension(id_ce_extKeyUsage, new ExtendedKeyUsage([purpose[usage]]))]
              : []),
            extension(id_ce_basicConstraints, new BasicConstraints({ cA: false })),
          ],
        }),
        privateKey: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      }
    },
    close() {},
  }
}

function certify({ subject, issuer, days, extensions, publicKey, signer }: Shape): string {
  const now = Date.now()
  const signature = new AlgorithmIdentifier({ algorithm: ECDSA_WITH_SHA256 })
  const serial = randomBytes(16)
  serial[0]! &= 0x7f // positive: RFC 5280 section 4.1.2.2
  serial[0]! |= 0x40
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    serialNumber: bufferOf(serial),
    signature,
    issuer: commonName(issuer),
    validity: new Validity({
      notBefore: new Date(now - (days < 0 ? 10 * DAY_MS : DAY_MS)),
      notAfter: new Date(now + days * DAY_MS),
    }),
    subject: commonName(subject),
    subjectPublicKeyInfo: AsnConvert.parse(
      publicKey.export({ type: 'spki', format: 'der' }),
      SubjectPublicKeyInfo,
    ),
    extensions: new Extensions([...extensions]),
  })
  const signed = sign('sha256', Buffer.from(AsnConvert.serialize(tbsCertificate)), signer)
  const der = AsnConvert.serialize(
    new Certificate({
      tbsCertificate,
      signatureAlgorithm: signature,
      signatureValue: bufferOf(signed),
    }),
  )
  const lines = Buffer.from(der)
    .toString('base64')
    .replaceAll(/.{1,64}/g, '$&\n')
  return `-----BEGIN CERTIFICATE-----\n${lines}-----END CERTIFICATE-----\n`
}

function commonName(text: string): Name {
  return new Name([
    new RelativeDistinguishedName([
      new AttributeTypeAndValue({
        type: COMMON_NAME,
        value: new AttributeValue({ utf8String: text }),
      }),
    ]),
  ])
}

function extension(extnID: string, value: unknown, critical?: 'critical'): Extension {
  return new Extension({
    extnID,
    critical: critical !== undefined,
    extnValue: new OctetString(AsnConvert.serialize(value)),
  })
}

function alternativeNames(text: string): SubjectAlternativeName {
  return new SubjectAlternativeName(
    text.split(',').map((part) => {
      const [, kind, value = ''] = /^\s*(DNS|IP):(.*)$/.exec(part) ?? []
      return kind === 'IP' && isIP(value) !== 0
        ? new GeneralName({ iPAddress: value })
        : new GeneralName({ dNSName: value })
    }),
  )
}

function bufferOf(bytes: Uint8Array): ArrayBuffer {
  return Uint8Array.from(bytes).buffer
}
