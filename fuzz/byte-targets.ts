// Parsers of bytes: messages, DNS responses, certificates, age files.
import { encode as encodePacket } from 'dns-packet'
import { ByteReader } from '../lib/container/byte-reader.ts'
import { readArmor, writeArmor } from '../lib/container/armor.ts'
import { addresseesOf } from '../lib/container/addressees.ts'
import { formatHeader, parseHeader } from '../lib/container/header.ts'
import { hasStanza } from '../lib/container/message-start.ts'
import type { Stanza } from '../lib/container/stanza.ts'
import { parseBfStanza } from '../lib/ibe/stanza.ts'
import { formatSignatureField, parseSignatureField } from '../lib/ibe/signature/field.ts'
import { parseResponse, type Query } from '../lib/dns/message.ts'
import { contentTypeOf } from '../lib/mail/content-type.ts'
import { fieldValue, parseFields } from '../lib/mail/header.ts'
import { readMessage } from '../lib/mail/message.ts'
import { parseEncrypted } from '../lib/mail/multipart-encrypted.ts'
import { parseCertificate } from '../lib/x509/certificate.ts'
import { makeAuthority } from '../test/support/authority.ts'
import { checkSame, collect, refusedBy, type Target } from './target.ts'

const HEADER =
  'From: a@example.com\r\nTo: b@example.com\r\nSubject: x\r\n y\r\nContent-Type: text/plain\r\n'

const bytes = (...texts: readonly string[]): readonly Uint8Array[] =>
  texts.map((text) => Buffer.from(text, 'latin1'))

const messageWords = bytes('\r\n', '\r\n\r\n', ':', ' ', '\t', 'From: ', '\r', '\n', '--x', '--')

const header: Target = {
  name: 'header fields',
  seeds: [Buffer.from(HEADER), Buffer.from('a:b\r\n'), Buffer.from('no field\r\nX : y\r\n')],
  words: messageWords,
  run(input) {
    const fields = parseFields(input)
    checkSame(Buffer.concat(fields.map(({ raw }) => raw)), Buffer.from(input))
    for (const field of fields) fieldValue(field)
    contentTypeOf(fields)
    return 'taken'
  },
}

const message: Target = {
  name: 'message',
  seeds: [Buffer.from(`${HEADER}\r\nbody\r\n`), Buffer.from('\r\nbody'), Buffer.from('no header')],
  words: messageWords,
  async run(input) {
    const half = input.length >> 1
    const { fields, separator, body } = await readMessage([
      input.subarray(0, half),
      input.subarray(half),
    ])
    const raw = fields.map((field) => field.raw)
    checkSame(Buffer.concat([...raw, separator, await collect(body)]), Buffer.from(input))
    return 'taken' as const
  },
}

const encrypted: Target = {
  name: 'multipart/encrypted',
  seeds: [
    Buffer.from(
      'Content-Type: multipart/encrypted; protocol="application/hisho-encrypted"; boundary="x"\r\n\r\n' +
        '--x\r\nContent-Type: application/hisho-encrypted\r\n\r\nVersion: 2\r\n\r\n--x\r\n' +
        'Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\naGlzaG8=\r\n--x--\r\n',
    ),
  ],
  words: [...messageWords, ...bytes('Version: 2', 'base64', 'aGlz', '=', '--x--\r\n')],
  async run(input) {
    try {
      hasStanza((await readMessage([input])).fields, input, 'hisho/psk')
      await collect(parseEncrypted(await readMessage([input])))
      return 'taken'
    } catch (error) {
      return refusedBy(error)
    }
  },
}

const QUERY: Query = { id: 0x1234, name: 'example.com', type: 'MX', edns: true }

/** OPENPGPKEY and SMIMEA by their numbers. */
type SeedType = 'MX' | 'TXT' | 'TLSA' | 'UNKNOWN_61' | 'UNKNOWN_53'

function responseTo(type: SeedType, data: object): Uint8Array {
  const name = 'example.com'
  const answers = [
    { type: 'CNAME', name, ttl: 60, data: 'mail.example.com' },
    { type, name: 'mail.example.com', ttl: 60, data },
  ]
  // oxlint-disable-next-line typescript/no-unsafe-argument -- the codec's types want one type at a time
  return encodePacket({
    type: 'response',
    id: QUERY.id,
    flags: 0x0180,
    questions: [{ type, name }],
    answers,
  } as Parameters<typeof encodePacket>[0])
}

const dns: Target = {
  name: 'DNS response',
  seeds: [
    responseTo('MX', { preference: 10, exchange: 'mx.example.com' }),
    responseTo('TXT', [Buffer.from('v=STSv1; id=1;')]),
    responseTo('TLSA', {
      usage: 3,
      selector: 1,
      matchingType: 1,
      certificate: Buffer.alloc(32, 1),
    }),
    responseTo('UNKNOWN_61', Buffer.from([0x99, 0x01, 0x02])),
    responseTo('UNKNOWN_53', Buffer.from([3, 0, 0, 0x30, 0x82])),
  ],
  words: bytes('\xc0\x0c', '\xc0\x00', '\0', '\x01', '\xff\xff', '\x3f', '\0\0\x29'),
  run(input) {
    let taken = false
    for (const type of ['MX', 'TXT', 'TLSA', 'OPENPGPKEY', 'SMIMEA'] as const)
      taken = typeof parseResponse(input, { ...QUERY, type }) === 'object' || taken
    return taken ? 'taken' : 'refused'
  },
}

function certificateTarget(): Target {
  const authority = makeAuthority()
  const { certificate } = authority.issue('mx.example.com', { usage: 'serverAuth' })
  authority.close()
  const derOf = (pem: string): Uint8Array =>
    Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64')
  return {
    name: 'certificate',
    seeds: [derOf(authority.certificate), derOf(certificate)],
    words: bytes(
      '\x30\x80',
      '\x30\x84\xff\xff\xff\xff',
      '\x02\x01\x00',
      '\x06\x01\x80',
      '\xa3',
      '\x82',
    ),
    run(input) {
      try {
        parseCertificate(input)
        return 'taken'
      } catch (error) {
        return refusedBy(error)
      }
    },
  }
}

const FILE_KEY = new Uint8Array(16)
const NOTHING = new Uint8Array(0)
const STANZA = { type: 'X25519', args: ['a', 'b'], body: new Uint8Array(32) }

const ageHeader: Target = {
  name: 'age header',
  seeds: [
    formatHeader([STANZA], FILE_KEY),
    formatHeader([STANZA, { ...STANZA, type: 'bf', body: new Uint8Array(100) }], FILE_KEY),
    formatHeader([{ type: 'hisho/to', args: ['YQ'], body: NOTHING }], FILE_KEY, 'aes-256-gcm'),
  ],
  words: bytes(
    '-> ',
    '---',
    '--- ',
    '\n',
    ' ',
    'age-encryption.org/v1\n',
    'hisho-encryption/v1 ',
    'des-cbc-hmac-sha256\n',
    'hisho/to ',
    'scrypt',
    'AAAA',
    '=',
  ),
  async run(input) {
    try {
      const { suite, stanzas } = await parseHeader(new ByteReader([input]))
      const again = await parseHeader(new ByteReader([formatHeader(stanzas, FILE_KEY, suite)]))
      checkSame(stanzas, again.stanzas)
      checkSame(suite, again.suite)
      for (const stanza of stanzas) tryOurs(stanza)
      return 'taken'
    } catch (error) {
      return refusedBy(error)
    }
  },
}

function tryOurs(stanza: Stanza): void {
  for (const parse of [parseBfStanza, (one: Stanza) => addresseesOf([one])])
    try {
      parse(stanza)
    } catch (error) {
      refusedBy(error)
    }
}

async function armorTarget(): Promise<Target> {
  const seed = (size: number) => collect(writeArmor([Buffer.alloc(size, 7)]))
  return {
    name: 'armor',
    seeds: [await seed(10), await seed(48), await seed(500)],
    words: bytes('-----BEGIN AGE ENCRYPTED FILE-----\n', '\r\n', ' ', '=', 'AAAA', '-----END'),
    async run(input) {
      try {
        const file = await collect(readArmor([input]))
        checkSame(await collect(readArmor(writeArmor([file]))), file)
        return 'taken'
      } catch (error) {
        return refusedBy(error)
      }
    },
  }
}

const signatureField: Target = {
  name: 'IBE-Signature field',
  seeds: [
    formatSignatureField({
      domain: 'example.com',
      address: 'alice@example.com',
      n: 1,
      period: '2026-11',
      timeSeconds: 1_795_000_000,
      expirySeconds: 1_795_300_000,
      signedFields: ['from', 'to', 'subject'],
      bodyHash: new Uint8Array(32),
      signature: new Uint8Array(96),
    }).raw,
  ],
  words: bytes(
    'v=2',
    'd=',
    'i=',
    '=40',
    ';',
    ':',
    'h=from',
    't=',
    'x=',
    'bh=',
    'b=',
    '\r\n ',
    '@',
    ' ',
  ),
  run(input) {
    try {
      for (const field of parseFields(input).slice(0, 1)) {
        const tags = parseSignatureField(field)
        checkSame(parseSignatureField(formatSignatureField(tags)), tags)
      }
      return 'taken'
    } catch (error) {
      return refusedBy(error)
    }
  },
}

export async function byteTargets(): Promise<readonly Target[]> {
  return [
    header,
    message,
    encrypted,
    dns,
    certificateTarget(),
    ageHeader,
    await armorTarget(),
    signatureField,
  ]
}
