// Parsers of what others send by S/MIME: CMS messages, and files of certificates.
import { parseEncryptedContent } from '../lib/smime/cms/enveloped-data.ts'
import { agreementOf, oaepOf } from '../lib/smime/cms/recipient-info.ts'
import { sealContent } from '../lib/smime/cms/seal.ts'
import { createSmimeKeyFormat } from '../lib/smime/key-format.ts'
import { checkSignatures } from '../lib/smime/signed/check.ts'
import { signData } from '../lib/smime/signed/sign.ts'
import { mailAuthority, mailCertificate, signingKey } from '../test/support/mail-certificates.ts'
import { refusedBy, type Target } from './target.ts'

const bytes = (...texts: readonly string[]): readonly Uint8Array[] =>
  texts.map((text) => Buffer.from(text, 'latin1'))

/** Lengths, ends of indefinite ones, and tags that CMS has. */
const BER_WORDS = bytes(
  '\x30\x80',
  '\0\0',
  '\x24\x80',
  '\xa0\x80',
  '\xa1',
  '\x80',
  '\x30\x84\xff\xff\xff\xff',
  '\x02\x01\0',
  '\x06\x01\x80',
  '\x04\0',
  '\x31\0',
)

export function smimeTargets(): readonly Target[] {
  const authority = mailAuthority()
  const own = mailCertificate(authority)
  const rsa = mailCertificate(authority, { key: 'rsa2048' })
  const content = Buffer.from('Content-Type: text/plain\r\n\r\ntext\r\n')
  const key = signingKey(own, own)
  const signed = (form: 'opaque' | 'detached'): Uint8Array =>
    signData(content, key, { form, at: new Date() })
  const recipients = [own.der, rsa.der]
  const format = createSmimeKeyFormat((address) => address)
  return [
    {
      name: 'CMS, encrypted',
      seeds: [
        sealContent(content, recipients, 'compat'),
        sealContent(content, recipients, 'modern'),
      ],
      words: BER_WORDS,
      run(input) {
        try {
          for (const info of parseEncryptedContent(input).recipients)
            (info.type === 'key-agreement' ? agreementOf : oaepOf)(info.algorithm)
          return 'taken'
        } catch (error) {
          return refusedBy(error)
        }
      },
    },
    {
      name: 'CMS, signed',
      seeds: [signed('opaque')],
      words: BER_WORDS,
      run: (input) => (checkSignatures(input, undefined).status === 'intact' ? 'taken' : 'refused'),
    },
    {
      name: 'certificates',
      seeds: [
        own.der,
        Buffer.from(own.certificate),
        Buffer.from(rsa.certificate),
        signed('detached'),
      ],
      words: [
        ...BER_WORDS,
        ...bytes('-----BEGIN CERTIFICATE-----\n', '-----END CERTIFICATE-----', '\n'),
      ],
      async run(input) {
        try {
          await format.read(input)
          return 'taken'
        } catch (error) {
          return refusedBy(error)
        }
      },
    },
  ]
}
