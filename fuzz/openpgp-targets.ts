// Parsers of what others send as OpenPGP: PGP/MIME, armor, packets. What is inside of packets the library reads, in a thread.
import { createHash } from 'node:crypto'
import { readMessage } from '../lib/mail/message.ts'
import { readTwoParts } from '../lib/mail/two-parts.ts'
import { readArmor, writeArmor } from '../lib/openpgp/armor.ts'
import { readEncrypted } from '../lib/openpgp/mime.ts'
import { findData, mayHaveChecksum } from '../lib/openpgp/packets.ts'
import { checkSame, refusedBy, type Target } from './target.ts'

const bytes = (...texts: readonly string[]): readonly Uint8Array[] =>
  texts.map((text) => Buffer.from(text, 'latin1'))

/** Two session keys, a marker, and data in pieces: RFC 9580 sections 4.2.1 and 5.8. */
const PACKETS = Buffer.concat([
  Buffer.from([0xc1, 10, 3]),
  Buffer.alloc(9, 7),
  Buffer.from([0x85, 0, 10, 3]),
  Buffer.alloc(9, 8),
  Buffer.from([0xca, 3, 0x50, 0x47, 0x50]),
  Buffer.from([0xd2, 0xe4, 1]),
  createHash('sha256').update('data').digest().subarray(0, 15),
  Buffer.from([5]),
  Buffer.alloc(5, 9),
])

const armored = (packets: Uint8Array): string =>
  Buffer.concat([...writeArmor('MESSAGE', packets)]).toString('latin1')

const mail = (armor: string): string =>
  'Content-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary="x"\r\n\r\npreamble\r\n' +
  '--x\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n\r\n--x\r\n' +
  `Content-Type: application/octet-stream\r\n\r\n${armor}\r\n--x--\r\n`

const packets: Target = {
  name: 'OpenPGP packets',
  seeds: [PACKETS, PACKETS.subarray(12)],
  words: bytes(
    '\xc1',
    '\xc3',
    '\xd2',
    '\x84',
    '\xff\0\0\0\x01',
    '\xe0',
    '\xfe',
    '\xbf',
    '\xca\x03PGP',
  ),
  run(input) {
    mayHaveChecksum(input)
    try {
      findData(input)
      return 'taken'
    } catch (error) {
      return refusedBy(error)
    }
  },
}

const armor: Target = {
  name: 'OpenPGP armor',
  seeds: [48, 57, 100].map((size) => Buffer.from(armored(Buffer.alloc(size, 7)))),
  words: bytes(
    '-----BEGIN PGP MESSAGE-----\n',
    '-----END',
    'Version: 1\n',
    '\r\n',
    '\n\n',
    '=',
    '=AAAA\n',
    ' ',
  ),
  run(input) {
    try {
      const read = readArmor('MESSAGE', input)
      checkSame(readArmor('MESSAGE', Buffer.from(armored(read))), read)
      return 'taken'
    } catch (error) {
      return refusedBy(error)
    }
  },
}

const pgpMime: Target = {
  name: 'PGP/MIME',
  seeds: [Buffer.from(mail(armored(PACKETS)))],
  words: bytes(
    '--x',
    '--x--',
    '\r\n',
    '\r\n\r\n',
    'Version: 1',
    'Content-Transfer-Encoding: base64\r\n',
    '--',
    ' ',
  ),
  async run(input) {
    try {
      await readTwoParts(await readMessage([input]), 10_000)
      await readEncrypted(await readMessage([input]))
      return 'taken'
    } catch (error) {
      return refusedBy(error)
    }
  },
}

export const OPENPGP_TARGETS: readonly Target[] = [packets, armor, pgpMime]
