// What SignedData is made of: RFC 5652 sections 3, 5.1 and 11, RFC 8551 section 2.5.
export const OID = {
  data: '1.2.840.113549.1.7.1',
  signedData: '1.2.840.113549.1.7.2',
  contentType: '1.2.840.113549.1.9.3',
  messageDigest: '1.2.840.113549.1.9.4',
  signingTime: '1.2.840.113549.1.9.5',
  /** RFC 8551 section 2.5.2. */
  smimeCapabilities: '1.2.840.113549.1.9.15',
  /** RFC 5035 section 3. */
  signingCertificateV2: '1.2.840.113549.1.9.16.2.47',
  /** RFC 6211. */
  algorithmProtection: '1.2.840.113549.1.9.52',
  aes256Gcm: '2.16.840.1.101.3.4.1.46',
  aes256Cbc: '2.16.840.1.101.3.4.1.42',
} as const

/** Context tags: of ContentInfo and EncapsulatedContentInfo, of SignedData, of SignerInfo. */
export const FIELD = {
  content: 0xa0,
  certificates: 0xa0,
  revocations: 0xa1,
  signedAttributes: 0xa0,
  unsignedAttributes: 0xa1,
  subjectKey: 0x80,
} as const
