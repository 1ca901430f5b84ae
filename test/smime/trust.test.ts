import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { createMemoryCache } from '../../lib/cache/memory.ts'
import type { Clock } from '../../lib/clock.ts'
import { createPlainClient } from '../../lib/http/plain-http.ts'
import { createRevocation } from '../../lib/smime/trust/revocation.ts'
import type { RevocationMode } from '../../lib/smime/trust/revocation-mode.ts'
import { createTrust, type RecipientRequest, type Trust } from '../../lib/smime/trust/trust.ts'
import { AUTHORITY, certify, type Certified } from '../support/certificates.ts'
import {
  mailAuthority,
  mailCertificate,
  newMailKey,
  trusting,
  type MailCertificateOptions,
} from '../support/mail-certificates.ts'
import { startRevocationServer, type RevocationServer } from '../support/revocation-server.ts'
import { processorTime } from '../support/processor-time.ts'

const AT = new Date(Date.now() + 600_000)

async function word(
  trust: Trust,
  own: Certified,
  others: readonly Certified[] = [],
  request: Partial<RecipientRequest> = {},
): Promise<string> {
  const ders = others.map(({ der }) => der)
  const outcome = await trust.checkRecipient(own.der, ders, { at: AT, ...request })
  return outcome.status === 'trusted' ? 'trusted' : outcome.reason
}

const authority = (issuer: Certified | undefined, ...extensions: readonly string[]): Certified =>
  certify(`/CN=authority ${Math.random()}`, {
    ...(issuer && { issuer }),
    extensions: [...AUTHORITY, ...extensions],
  })

describe('C26: a certificate to encrypt to', () => {
  const root = mailAuthority()
  const trust = trusting(root)

  it('is of somebody for whom an anchor vouches, over others if need be', async () => {
    const middle = authority(root)
    const own = mailCertificate(middle)
    assert.equal(await word(trust, own, [middle]), 'trusted')
    assert.equal(await word(trust, own, [root, middle, own, middle]), 'trusted')
    assert.equal(await word(trust, own), 'no trusted authority vouches for it')
    assert.equal(await word(trusting(), own, [middle, root]), 'no trusted authority vouches for it')
    assert.equal(await word(trusting(middle), own), 'trusted')
    assert.equal(await word(trusting(own), own), 'trusted')
  })

  it('is not believed for the name of its issuer alone', async () => {
    const namesake = mailCertificate(mailAuthority())
    assert.equal(await word(trust, namesake, [root]), 'no trusted authority vouches for it')
  })

  it('is of the address, or of its whole domain', async () => {
    const own = mailCertificate(root, { address: 'Alice@Example.com' })
    const whole = mailCertificate(root, { address: 'domain-confidentiality-authority@example.com' })
    const signs = mailCertificate(root, { address: 'domain-signing-authority@example.com' })
    const alice = { address: 'alice@example.com' }
    assert.equal(await word(trust, own, [], alice), 'trusted')
    assert.match(await word(trust, own, [], { address: 'bob@example.com' }), /not of bob/)
    assert.match(await word(trust, own, [], { domain: 'example.com' }), /not of example.com/)
    assert.equal(await word(trust, whole, [], alice), 'trusted')
    assert.equal(await word(trust, whole, [], { domain: 'example.com' }), 'trusted')
    assert.match(await word(trust, whole, [], { domain: 'sub.example.com' }), /not of/)
    assert.match(await word(trust, signs, [], alice), /not of alice/)
  })

  const cases: readonly (readonly [string, MailCertificateOptions, RegExp])[] = [
    ['with an RSA key of 1024 bits', { key: 'rsa1024' }, /RSA key of 1024 bits/],
    ['with an RSA key of 2048 bits', { key: 'rsa2048' }, /^trusted$/],
    ['with a key on a strange curve', { key: 'secp256k1' }, /another curve/],
    ['that has expired', { days: -1 }, /expired/],
    ['that only signs', { extensions: ['keyUsage=digitalSignature'] }, /not for encrypting mail/],
    ['for TLS', { extensions: ['extendedKeyUsage=clientAuth'] }, /not for encrypting mail/],
    ['for anything', { extensions: ['extendedKeyUsage=anyExtendedKeyUsage'] }, /^trusted$/],
    ['with an unknown critical extension', { more: ['1.2.3.4=critical,ASN1:NULL'] }, /critical/],
    [
      'that says critically where its list lies',
      { more: ['crlDistributionPoints=critical,URI:http://x.example/'] },
      /^trusted$/,
    ],
  ]
  for (const [title, options, expect] of cases)
    it(title, async () => {
      assert.match(await word(trust, mailCertificate(root, options)), expect)
    })

  it('is not the work of somebody who is no authority, or of one too deep', async () => {
    const notOne = mailCertificate(root, { extensions: ['basicConstraints=CA:FALSE'] })
    assert.match(await word(trust, mailCertificate(notOne), [notOne]), /no authority/)
    const short = certify('/CN=short', {
      extensions: ['basicConstraints=critical,CA:TRUE,pathlen:0', 'keyUsage=keyCertSign'],
    })
    const middle = authority(short)
    assert.equal(await word(trusting(short), mailCertificate(short)), 'trusted')
    assert.match(await word(trusting(short), mailCertificate(middle), [middle]), /0 authorities/)
    const signsOnly = certify('/CN=signs', {
      extensions: ['basicConstraints=critical,CA:TRUE', 'keyUsage=digitalSignature'],
    })
    assert.match(await word(trusting(signsOnly), mailCertificate(signsOnly)), /^no trusted/)
    const servers = authority(root, 'extendedKeyUsage=serverAuth')
    assert.match(await word(trust, mailCertificate(servers), [servers]), /not for encrypting mail/)
  })

  it('is within the names that its issuers may vouch for', async () => {
    const under = async (constraints: string, options: MailCertificateOptions): Promise<string> => {
      const limited = authority(root, `nameConstraints=critical,${constraints}`)
      return word(trust, mailCertificate(limited, options), [limited])
    }
    const refused = /may not vouch/
    const ours = { address: 'alice@example.com' }
    assert.equal(await under('permitted;email:example.com', ours), 'trusted')
    assert.equal(await under('permitted;email:alice@example.com', ours), 'trusted')
    assert.match(await under('permitted;email:bob@example.com', ours), refused)
    assert.match(await under('permitted;email:.example.com', ours), refused)
    assert.match(await under('permitted;email:ample.com', ours), refused)
    assert.equal(
      await under('permitted;email:.example.com', { address: 'alice@sub.example.com' }),
      'trusted',
    )
    assert.match(
      await under('permitted;email:example.com', { address: 'alice@sub.example.com' }),
      refused,
    )
    assert.match(await under('excluded;email:example.com', ours), refused)
    assert.match(
      await under('permitted;email:example.com', {
        ...ours,
        subject: '/CN=x/emailAddress=mallory@example.org',
      }),
      refused,
    )
    assert.match(
      await under('permitted;email:example.com', {
        subject: '/CN=x/emailAddress=mallory@example.org',
        extensions: ['keyUsage=keyAgreement'],
      }),
      refused,
    )
  })

  it('is asked anew whether it is of its time, however often it was seen before', async () => {
    const own = mailCertificate(root, { days: 1 })
    const later = { at: new Date(AT.getTime() + 86_400_000) }
    for (const _ of [1, 2]) {
      assert.equal(await word(trust, own), 'trusted')
      assert.match(await word(trust, own, [], later), /expired/)
    }
  })

  it('is looked for among very many others in no more than a moment', async () => {
    const privateKey = newMailKey('p256')
    const key = { privateKey, extensions: AUTHORITY }
    const maze = Array.from({ length: 12 }, () => certify('/CN=maze', key))
    const own = certify('/CN=maze', { issuer: maze[0]!, extensions: AUTHORITY })
    const took = processorTime()
    assert.equal(await word(trust, own, maze), 'no trusted authority vouches for it')
    assert.ok(took() < 5000)
  })
})

describe('C25: revocation', () => {
  const root = mailAuthority('keyUsage=keyCertSign,cRLSign')
  let server: RevocationServer
  let nowMs: number
  const clock: Clock = { nowMs: () => nowMs }
  before(async () => {
    server = await startRevocationServer()
  })
  after(() => server.close())
  beforeEach(() => {
    nowMs = Date.now() + 60_000 // behind the moment in which certificates are made
    server.trouble = 'none'
    server.asked.clear()
    server.answerFor(root)
  })

  /** With a cache of its own. */
  function makeTrust(revocationMode: RevocationMode): Trust {
    const ask = createPlainClient({
      addressesOf: async () => ['127.0.0.1'],
      timeoutMs: 5000,
      maxBytes: 1_000_000,
      reach: 'any',
    })
    const cache = createMemoryCache({ clock, maxEntries: 100 })
    const revocation = createRevocation({ clock, cache, ask, deadlineMs: 10_000 })
    return createTrust({ anchors: [root.der], revocationMode, revocation })
  }
  const at = (): Partial<RecipientRequest> => ({ at: new Date(nowMs + 60_000) })
  const listed = (): string => `crlDistributionPoints=URI:${server.listUrl}`
  const answered = (): string => `authorityInfoAccess=OCSP;URI:${server.ocspUrl}`
  function known(...more: readonly string[]): Certified {
    const own = mailCertificate(root, { more })
    server.know(own)
    return own
  }

  for (const [kind, place, path] of [
    ['a list', listed, '/list.crl'],
    ['OCSP', answered, '/ocsp'],
  ] as const)
    it(`is learnt from ${kind}, which is asked once as long as what it said is fresh`, async () => {
      const good = known(place())
      const bad = known(place())
      server.revoke(bad)
      server.publish(root)
      const trust = makeTrust('hard')
      for (const _ of [1, 2]) {
        assert.equal(await word(trust, good, [], at()), 'trusted')
        assert.match(await word(trust, bad, [], at()), /^its certificate is revoked/)
      }
      assert.equal(server.asked.get(path), kind === 'OCSP' ? 2 : 1)
      server.revoke(good)
      server.publish(root)
      assert.equal(await word(trust, good, [], at()), 'trusted')
      nowMs += 25 * 3_600_000
      // What openssl says is of its own clock: it is out of date for us now, and nobody can say.
      await assert.rejects(word(trust, good, [], at()), { code: 'smime/revocation' })
      nowMs -= 25 * 3_600_000
      assert.match(await word(makeTrust('hard'), good, [], at()), /revoked/)
    })

  it('is looked for at the issuers in between too', async () => {
    const middle = authority(root, listed())
    server.know(middle)
    server.publish(root)
    const own = mailCertificate(middle)
    const trust = makeTrust('soft')
    assert.equal(await word(trust, own, [middle], at()), 'trusted')
    server.revoke(middle, 'CACompromise')
    server.publish(root)
    assert.match(await word(makeTrust('soft'), own, [middle], at()), /issuer 1 .*revoked: cAComp/)
  })

  for (const trouble of ['silent', 'error', 'garbage', 'huge'] as const)
    it(`passes where nobody can say (${trouble}), if the mode is soft; else it waits`, async () => {
      const own = known(listed(), answered())
      server.publish(root)
      server.trouble = trouble
      const soft = makeTrustWith(300, 'soft')
      const outcome = await soft.checkRecipient(own.der, [], { at: new Date(nowMs + 60_000) })
      assert.ok(outcome.status === 'trusted' && /may be revoked/.test(outcome.notes.join()))
      await assert.rejects(word(makeTrustWith(300, 'hard'), own, [], at()), {
        code: 'smime/revocation',
      })
      assert.equal(await word(makeTrustWith(300, 'off'), own, [], at()), 'trusted')
      // Not asked again for each message, and asked again before long.
      const before = server.asked.get('/ocsp')
      assert.equal(await word(soft, own, [], at()), 'trusted')
      assert.equal(server.asked.get('/ocsp'), before)
      server.trouble = 'none'
      server.revoke(own)
      nowMs += 61_000
      assert.match(await word(soft, own, [], at()), /revoked/)
    })

  it('says in the log who has spoken, how fresh that is, and where nobody could', async () => {
    const lines: string[] = []
    const good = { status: 'good', note: 'not revoked by a list, good until tomorrow' } as const
    const silent = { status: 'unknown', reason: 'nobody answers' } as const
    for (const found of [good, silent]) {
      const trust = createTrust({
        anchors: [root.der],
        revocationMode: 'soft',
        revocation: { check: async () => found },
        log: (level, message) => lines.push(`${level} ${message}`),
      })
      assert.equal(await word(trust, mailCertificate(root)), 'trusted')
    }
    assert.deepEqual(lines, [
      'info smime: alice@example.com: not revoked by a list, good until tomorrow',
      'notice smime: alice@example.com: its certificate may be revoked: nobody answers',
    ])
  })

  function makeTrustWith(timeoutMs: number, revocationMode: RevocationMode): Trust {
    const ask = createPlainClient({
      addressesOf: async () => ['127.0.0.1'],
      timeoutMs: server.trouble === 'silent' ? timeoutMs : 5000,
      maxBytes: 1_000_000,
      reach: 'any',
    })
    const cache = createMemoryCache({ clock, maxEntries: 100 })
    const revocation = createRevocation({ clock, cache, ask, deadlineMs: 10_000 })
    return createTrust({ anchors: [root.der], revocationMode, revocation })
  }

  it('is not asked for inside of our own network', async () => {
    const ask = createPlainClient({
      addressesOf: async () => ['127.0.0.1'],
      timeoutMs: 5000,
      maxBytes: 1_000_000,
      reach: 'public',
    })
    for (const url of [server.listUrl, server.listUrl.replace('authority.example', '127.0.0.1')])
      assert.equal((await ask({ url, accept: '*/*' })).status, 'unusable')
    assert.equal(server.asked.size, 0)
    for (const url of ['https://authority.example/', 'file:///etc/passwd', 'ldap://x/', 'x', ''])
      assert.equal((await ask({ url, accept: '*/*' })).status, 'unusable', url)
  })

  it('cannot be had of a certificate that names nobody: refused for good, if the mode is hard', async () => {
    const own = mailCertificate(root)
    assert.equal(await word(makeTrust('soft'), own, [], at()), 'trusted')
    assert.match(await word(makeTrust('hard'), own, [], at()), /does not say who/)
  })

  describe('a list counts only if', () => {
    const refuses = async (own: Certified): Promise<void> =>
      assert.rejects(word(makeTrust('hard'), own, [], at()), { code: 'smime/revocation' })
    it('its issuer has signed it', async () => {
      server.publish(mailAuthority('keyUsage=keyCertSign,cRLSign'))
      await refuses(known(listed()))
    })
    it('it is not out of date', async () => {
      const own = known(listed())
      server.publish(root, { hours: 1 })
      nowMs += 3 * 3_600_000
      await refuses(own)
    })
    it('it is for all reasons, of its issuer, and whole', async () => {
      const own = known(listed())
      for (const extension of [
        'issuingDistributionPoint=critical,@idp\n[idp]\nindirectCRL=TRUE',
        'issuingDistributionPoint=critical,@idp\n[idp]\nonlyAA=TRUE',
        'issuingDistributionPoint=critical,@idp\n[idp]\nonlyCA=TRUE',
        'issuingDistributionPoint=critical,@idp\n[idp]\nonlysomereasons=keyCompromise',
        'issuingDistributionPoint=critical,@idp\n[idp]\nfullname=URI:http://other.example/',
        'deltaCRL=critical,ASN1:INTEGER:1',
        '1.2.3.4=critical,ASN1:NULL',
      ]) {
        const line = extension.replace('deltaCRL', '2.5.29.27')
        server.publish(root, { extensions: [line] })
        await refuses(own)
      }
      const fit = `issuingDistributionPoint=critical,@idp\n[idp]\nonlyuser=TRUE\nfullname=URI:${server.listUrl}`
      server.publish(root, { extensions: [fit] })
      assert.equal(await word(makeTrust('hard'), own, [], at()), 'trusted')
    })
  })

  describe('an answer by OCSP counts only if', () => {
    it('the issuer has authorised who gives it', async () => {
      const own = known(answered())
      const responder = (...extensions: readonly string[]): Certified =>
        certify('/CN=responder', { issuer: root, extensions })
      server.answerFor(root, responder('extendedKeyUsage=OCSPSigning'))
      assert.equal(await word(makeTrust('hard'), own, [], at()), 'trusted')
      for (const other of [
        responder('extendedKeyUsage=emailProtection'),
        certify('/CN=responder', { extensions: ['extendedKeyUsage=OCSPSigning'] }),
      ]) {
        server.answerFor(root, other)
        await assert.rejects(word(makeTrust('hard'), own, [], at()), { code: 'smime/revocation' })
      }
    })

    it('it is about this certificate, and known there', async () => {
      const stranger = mailCertificate(root, { more: [answered()] })
      await assert.rejects(word(makeTrust('hard'), stranger, [], at()), {
        code: 'smime/revocation',
      })
    })
  })
})
