// Parsers of what S/MIME brings: CMS as BER, SignedData, lists of revoked certificates, answers by OCSP.
import { createAuthority, issueCertificate, publishList } from '../lib/smime/ca/authority.ts'
import { generateMailKey, type MailKey } from '../lib/smime/ca/mail-key.ts'
import { signingWith } from '../lib/smime/signature-algorithm.ts'
import { checkSignatures } from '../lib/smime/signed/check.ts'
import { parseSignedData } from '../lib/smime/signed/signed-data.ts'
import { signData } from '../lib/smime/signed/sign.ts'
import { readLink, type Link } from '../lib/smime/trust/chain.ts'
import { formatOcspRequest, readOcspAnswer } from '../lib/smime/trust/ocsp.ts'
import { readRevocationList } from '../lib/smime/trust/revocation-list.ts'
import { definiteForm } from '../lib/x509/ber.ts'
import { TAG, readElement, readElements } from '../lib/x509/der.ts'
import {
  bitString,
  element,
  objectIdentifier,
  octetString,
  sequence,
} from '../lib/x509/der-writer.ts'
import { checkSame, refusedBy, type Target } from './target.ts'

const NOW = Date.UTC(2026, 10, 22)
const WORDS = [
  [0x30, 0x80],
  [0x24, 0x80, 0x04, 0x01, 0x41, 0x00, 0x00],
  [0x00, 0x00],
  [0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
  [0x31, 0x00],
  [0xa0, 0x82],
  [0x06, 0x01, 0x80],
  [0x02, 0x01, 0x00],
].map((octets) => Uint8Array.from(octets))

interface World {
  readonly issuer: Link
  readonly own: Link
  readonly issuerKey: MailKey
  readonly ownKey: MailKey
  readonly list: Uint8Array
}

async function makeWorld(): Promise<World> {
  const [issuerKey, ownKey] = [await generateMailKey('p256'), await generateMailKey('p256')]
  const options = { name: 'CA', domains: ['a.example'], days: 100, listUrl: undefined, nowMs: NOW }
  const authority = createAuthority(issuerKey, options)
  const { certificate } = issueCertificate(authority, {
    domain: 'a.example',
    user: 'alice',
    days: 10,
    nowMs: NOW,
    publicKey: ownKey.publicKey,
    algorithm: 'ec',
  })
  const { list } = publishList(authority, { days: 7, nowMs: NOW })
  const [issuer, own] = [readLink(authority.certificate), readLink(certificate)]
  return { issuer, own, issuerKey, ownKey, list }
}

/** A parser that throws our refusals, and nothing else. */
function target(
  name: string,
  seeds: readonly Uint8Array[],
  read: (input: Uint8Array) => unknown,
): Target {
  return {
    name,
    seeds,
    words: WORDS,
    run(input) {
      try {
        read(input)
        return 'taken'
      } catch (error) {
        return refusedBy(error)
      }
    },
  }
}

/** As a responder writes it: RFC 6960 section 4.2.1. */
function ocspAnswer({ own, issuer, issuerKey }: World): Uint8Array {
  const day = (text: string): Uint8Array => element(TAG.generalizedTime, Buffer.from(text))
  const request = readElement(formatOcspRequest(own, issuer, new Uint8Array(32)))
  const [list] = readElements(readElements(request.content)[0]?.content ?? new Uint8Array())
  const [one] = readElements(list?.content ?? new Uint8Array())
  const id = one?.content ?? new Uint8Array()
  const single = sequence(
    id,
    element(0x80),
    day('20261122000000Z'),
    element(0xa0, day('20261129000000Z')),
  )
  const responder = element(0xa1, issuer.certificate.subject)
  const data = sequence(responder, day('20261122000000Z'), sequence(single))
  const signing = signingWith(issuerKey.privateKey, 'certificate')
  const basic = sequence(data, signing.signatureAlgorithm, bitString(signing.sign(data)))
  const typed = sequence(objectIdentifier('1.3.6.1.5.5.7.48.1.1'), octetString(basic))
  return sequence(element(TAG.enumerated, Uint8Array.of(0)), element(0xa0, typed))
}

export async function certificateTargets(): Promise<readonly Target[]> {
  const world = await makeWorld()
  const { issuer, own, ownKey, list } = world
  const key = { secret: ownKey.secret, certificates: [own.der, issuer.der] }
  const content = Buffer.from('Content-Type: text/plain\r\n\r\nhello\r\n')
  const signed = (['opaque', 'detached'] as const).map((form) =>
    signData(content, key, { form, at: new Date(NOW) }),
  )
  const inPieces = Buffer.from('3080248004014104014200000401430201050000', 'hex')
  return [
    target('BER', [...signed, inPieces], (input) => {
      const der = definiteForm(input)
      checkSame(Buffer.from(definiteForm(der)), Buffer.from(der))
      readElement(der)
    }),
    target('SignedData', signed, (input) => {
      checkSignatures(input, undefined)
      checkSignatures(input, content)
      parseSignedData(input)
    }),
    target('list of revoked', [list], (input) => readRevocationList(input, issuer)),
    target('OCSP answer', [ocspAnswer(world)], (input) =>
      readOcspAnswer(input, own, issuer, { nowMs: NOW, nonce: undefined }),
    ),
  ]
}
