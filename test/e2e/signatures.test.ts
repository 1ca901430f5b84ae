// Signatures through real gateways: who is signed for, what arrives, and what must not pass for signed.
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { ALL_PLUGINS } from '../support/site.ts'
import { submit, type Reply } from '../support/smtp-client.ts'
import { sabotage, saboteurFiles, type Sabotage } from '../support/saboteur.ts'
import type { Delivery } from '../support/smtp-sink.ts'
import { letter, startWorld, type World } from '../support/world.ts'

/** An operator's own plugin that looks at what ours have found. */
const PROBE = {
  'plugins/probe.js': `
exports.register = function () { this.register_hook('data_post', 'look', 50) }
exports.look = function (next, connection) {
  const found = connection.transaction.results.get('hisho/verify')
  connection.loginfo(this, 'found ' + JSON.stringify(found))
  next()
}
`,
}

const text = (delivery: Delivery | undefined): string => delivery?.message.toString('latin1') ?? ''

/** Our own Authentication-Results, unfolded. */
function results(delivery: Delivery | undefined): string {
  const header = text(delivery).split('\r\n\r\n', 1)[0] ?? ''
  const fields = header.replaceAll(/\r\n(?=[ \t])/g, '').split('\r\n')
  const own = fields.filter((field) => /^authentication-results: mx\.b\.example/i.test(field))
  return own.join('\n')
}

const PASS = /x-ibe-sig=pass header\.d=a\.example header\.i=alice@a\.example/

describe('signed mail', () => {
  let world: World
  before(async () => {
    world = await startWorld({
      pluginsA: ALL_PLUGINS,
      pluginsB: [...ALL_PLUGINS, 'probe'],
      filesB: PROBE,
      plainDomains: ['plain.example'],
      sendersA: '{ user: [alice@a.example, sales@a.example] }',
    })
  })
  after(() => world?.close())
  beforeEach(() => {
    world.c.clear()
    world.inboxB.clear()
  })

  /** To b, from somewhere in the world. */
  const attack = (message: string): Promise<Reply> =>
    submit({
      port: world.b.port,
      from: 'mallory@evil.example',
      to: ['bob@b.example'],
      message: Buffer.from(message, 'latin1'),
    })

  /** What alice sends signed and in clear, as the server of another domain gets it. */
  async function signedInClear(fields: Record<string, string> = {}): Promise<string> {
    assert.equal((await world.send(letter('news', fields), ['x@c.example'])).code, 250)
    const [delivery] = await world.c.waitFor(1)
    world.c.clear()
    return text(delivery)
  }

  async function arrival(): Promise<Delivery> {
    const [delivery] = await world.inboxB.waitFor(1)
    world.inboxB.clear()
    return delivery!
  }

  it('arrives verified after decryption, and outside nothing of the signature shows', async () => {
    const wire = world.b
    assert.equal((await world.send(letter('the secret'))).code, 250)
    const delivery = await arrival()
    assert.match(results(delivery), PASS)
    assert.match(text(delivery), /^Hisho-Decrypted: [^\r]*; integrity=ok; signature=pass\r$/m)
    assert.match(text(delivery), /^IBE-Signature: v=2; a=cc-bls12-381; c=relaxed\/relaxed;/m)
    assert.match(text(delivery), /here is the secret/)
    await wire.waitForLog(/hisho\/decrypt.*opened for 1/)
    await wire.waitForLog(/found .*"pass":\["x-ibe-sig=pass header\.d=a\.example/)
    const spy = { TXT: [world.keysB.record] }
    world.dns.zone['_ibemailkey.plain.example'] = spy
    assert.equal(
      (await world.send(letter('x', { To: 'y@plain.example' }), ['y@plain.example'])).code,
      250,
    )
    const [sealed] = await world.c.waitFor(1)
    assert.match(text(sealed), /hisho-encrypted/)
    assert.doesNotMatch(text(sealed), /IBE-Signature/)
  })

  it('in clear it verifies too', async () => {
    const message = await signedInClear()
    assert.match(message, /^IBE-Signature:/m)
    assert.equal((await attack(message)).code, 250)
    const delivery = await arrival()
    assert.match(results(delivery), PASS)
    assert.doesNotMatch(text(delivery), /Hisho-/)
  })

  it('with a header that Haraka alone would damage, without Date and Message-ID, and of every line length', async () => {
    const header = 'From: alice@a.example\r\nTo: x@c.example\r\nSubject: gr\xfc\xdfe\r\n'
    for (const message of [
      `${header}X-Long: ${'y'.repeat(980)}\r\n\r\nhello\r\n`,
      `${header}\r\n${'z'.repeat(998)}\r\n.\r\n..dots\r\n\r\n\r\n`,
      'From: alice@a.example\r\nSubject: empty\r\n\r\n',
      'From: =?utf-8?q?Al=C3=ADce?= <alice@a.example>\r\nTo: x@c.example\r\n\r\nno date\r\n',
    ]) {
      assert.equal((await world.send(message, ['x@c.example'])).code, 250)
      const [delivery] = await world.c.waitFor(1)
      world.c.clear()
      assert.equal((await attack(text(delivery))).code, 250)
      assert.match(results(await arrival()), PASS, JSON.stringify(message.slice(0, 90)))
      assert.equal((await world.send(message, ['bob@b.example'])).code, 250)
      assert.match(
        results(await arrival()),
        PASS,
        `sealed: ${JSON.stringify(message.slice(0, 90))}`,
      )
    }
  })

  it('a shared mailbox is signed for whom the table allows it', async () => {
    assert.equal((await world.send(letter('offer', { From: 'Sales <sales@a.example>' }))).code, 250)
    assert.match(results(await arrival()), /x-ibe-sig=pass header\.d=a\.example header\.i=sales@a/)
  })

  for (const [name, from, reason] of [
    ['an address of somebody else', 'bob@a.example', /not signed: the From address is not of this/],
    ['an address of another domain', 'x@c.example', /not signed: the From domain is not ours/],
    ['two authors', 'alice@a.example, sales@a.example', /not signed: not one author in From/],
  ] as const) {
    it(`is not signed for ${name}, and the result says why`, async () => {
      assert.equal((await world.send(letter('x', { From: from }))).code, 250)
      const delivery = await arrival()
      assert.doesNotMatch(text(delivery), /IBE-Signature/)
      assert.match(results(delivery), /x-ibe-sig=none/)
      await world.a.waitForLog(reason)
    })
  }

  it('a message with more fields than a signature can list goes on unsigned', async () => {
    const many = 'Cc: x@c.example\r\n'.repeat(120)
    assert.equal((await world.send(many + letter('many'), ['x@c.example'])).code, 250)
    assert.doesNotMatch(text((await world.c.waitFor(1))[0]), /IBE-Signature/)
    await world.a.waitForLog(/not signed: .*fields/)
  })

  const changes: [string, (message: string) => string, RegExp][] = [
    ['a changed body', (m) => m.replace('here is news', 'here is olds'), /=fail reason="body/],
    ['an appended part', (m) => `${m}--x\r\nContent-Type: text/html\r\n\r\n<b>\r\n`, /=fail/],
    ['a changed subject', (m) => m.replace('Subject: about', 'Subject: again'), /=fail/],
    ['a second subject above', (m) => `Subject: pay now\r\n${m}`, /=fail/],
    ['a second From above', (m) => `From: mallory@evil.example\r\n${m}`, /=permerror/],
    [
      'a second author',
      (m) => m.replace('From: Alice <', 'From: m@evil.example, Alice <'),
      /=permerror|=fail/,
    ],
    ['a Reply-To above', (m) => `Reply-To: mallory@evil.example\r\n${m}`, /=fail/],
    ['a Sender above', (m) => `Sender: mallory@evil.example\r\n${m}`, /=fail/],
    ['a Content-Type above', (m) => `Content-Type: text/html\r\n${m}`, /=fail/],
    [
      'another From domain',
      (m) => m.replace('From: Alice <alice@a.', 'From: Alice <alice@evil.'),
      /=fail|=neutral/,
    ],
    ['a signature cut short', (m) => m.replace(/ b=([A-Za-z0-9+/]{8})/, ' b='), /=permerror/],
    ['an identity of another', (m) => m.replace('i=alice@', 'i=carol@'), /=fail/],
    ['another serial', (m) => m.replace(' n=1;', ' n=7;'), /=permerror/],
    ['another period', (m) => m.replace(/ p=\d{4}-\d\d;/, ' p=2019-01;'), /=fail/],
  ]
  for (const [name, change, wanted] of changes) {
    it(`${name}: not verified, and marked`, async () => {
      const good = await signedInClear()
      const bad = change(good)
      assert.notEqual(bad, good)
      assert.equal((await attack(bad)).code, 250)
      const delivery = await arrival()
      assert.match(results(delivery), wanted)
      assert.doesNotMatch(results(delivery), /=pass/)
      if (!/=neutral/.test(results(delivery)))
        assert.match(text(delivery), /^Hisho-Signature: (?:fail|permerror)/m)
    })
  }

  it('forged results and marks are removed, ours alone stand there', async () => {
    const forged =
      'Authentication-Results: mx.b.example; x-ibe-sig=pass header.d=a.example\r\n' +
      'Hisho-Signature: pass\r\nHisho-Decrypted: ibe-bf; n=1; signature=pass\r\n'
    assert.equal((await attack(forged + letter('x'))).code, 250)
    const delivery = await arrival()
    assert.match(results(delivery), /x-ibe-sig=none/)
    assert.doesNotMatch(text(delivery), /^(?:Hisho|(?!Original-)Authentication-Results:.*=pass)/m)
  })

  it('fields that servers add on the way do no harm', async () => {
    const added =
      'Received: from x by y; Sun, 22 Nov 2026 05:00:00 +0000\r\nX-Spam-Score: 1\r\nList-Id: <l.example>\r\n'
    assert.equal((await attack(added + (await signedInClear()))).code, 250)
    assert.match(results(await arrival()), PASS)
  })

  it('when DNS fails later, signing goes on with what is known of our own records', async () => {
    const { dns } = world
    const entry = dns.zone['_ibemailkey.a.example']!
    dns.zone['_ibemailkey.a.example'] = { ...entry, misbehave: 'servfail' }
    try {
      assert.match(await signedInClear(), /^IBE-Signature:/m)
    } finally {
      dns.zone['_ibemailkey.a.example'] = entry
    }
  })
})

describe('when the key to sign with cannot be had', () => {
  for (const [onFailure, code] of [
    ['defer', 450],
    ['send_unsigned', 250],
  ] as const) {
    it(`on_failure = ${onFailure}: ${code}`, async () => {
      const world = await startWorld({
        pluginsA: ALL_PLUGINS,
        environmentA: { HISHO_PASSPHRASE: 'not the one' },
        filesA: { 'config/hisho.sign.ini': `[main]\non_failure=${onFailure}\n` },
      })
      try {
        assert.equal((await world.send(letter('x'), ['x@c.example'])).code, code)
        if (code === 450) return assert.equal(world.c.deliveries.length, 0)
        const [delivery] = await world.c.waitFor(1)
        assert.doesNotMatch(text(delivery), /IBE-Signature/)
        await world.a.waitForLog(/not signed \(on_failure: send_unsigned\)/)
      } finally {
        await world.close()
      }
    })
  }
})

describe('whatever the order of lines in config/plugins', () => {
  it('mail is signed first and encrypted then', async () => {
    const world = await startWorld({
      pluginsA: [
        'auth/flat_file',
        'rcpt_to.in_host_list',
        'hisho/encrypt',
        'hisho/sign',
        'hisho/decrypt',
        'hisho/verify',
        'queue/smtp_forward',
      ],
      pluginsB: ALL_PLUGINS,
    })
    try {
      assert.equal((await world.send(letter('the secret'))).code, 250)
      const [delivery] = await world.inboxB.waitFor(1)
      assert.match(results(delivery), PASS)
      assert.match(text(delivery), /signature=pass/)
    } finally {
      await world.close()
    }
  })
})

describe('a domain that is required to sign', () => {
  let world: World
  before(async () => {
    world = await startWorld({
      pluginsA: ['saboteur', ...ALL_PLUGINS],
      pluginsB: ALL_PLUGINS,
      filesA: saboteurFiles('hisho/sign', 'sign_message'),
      tableB:
        "  a.example: { missing_signature: reject, failed_signature: reject }\n  '*': { missing_signature: mark }",
    })
  })
  after(() => world?.close())
  beforeEach(() => {
    world.inboxB.clear()
    sabotage(world.a, 'none')
  })

  const deliver = (message: string): Promise<Reply> =>
    submit({
      port: world.b.port,
      from: 'mallory@evil.example',
      to: ['bob@b.example'],
      message: Buffer.from(message, 'latin1'),
    })

  it('mail in its name that is not signed is refused, and so is what does not verify', async () => {
    const missing = await deliver(letter('x'))
    assert.equal(missing.code, 550)
    assert.match(missing.text, /5\.7\.1 /)
    assert.equal((await world.send(letter('y'), ['x@c.example'])).code, 250)
    const [signed] = await world.c.waitFor(1)
    const broken = await deliver(text(signed).replace('here is y', 'here is z'))
    assert.equal(broken.code, 550)
    assert.match(broken.text, /5\.7\.7 /)
    assert.equal((await deliver(text(signed))).code, 250)
    await world.inboxB.waitFor(1)
    assert.match(results(world.inboxB.deliveries[0]), PASS)
  })

  it('a domain that does not sign is not held to it', async () => {
    const message = letter('x', { From: 'x@c.example' })
    assert.equal((await deliver(message)).code, 250)
    const [delivery] = await world.inboxB.waitFor(1)
    assert.match(results(delivery), /x-ibe-sig=none/)
    assert.doesNotMatch(text(delivery), /Hisho-Signature/)
  })

  for (const how of ['throw', 'reject', 'hang', 'skip'] satisfies Sabotage[]) {
    it(`sign is sabotaged (${how}): the mail is not accepted unsigned`, async () => {
      sabotage(world.a, how)
      const { code } = await world.send(letter(`sabotage ${how}`)).catch(() => ({ code: 0 }))
      assert.notEqual(code, 250)
      assert.equal(world.inboxB.deliveries.length, 0)
    })
  }
})
