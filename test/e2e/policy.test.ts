// What the table says of one address, what a sender may ask for, and what is exempt.
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { generateX25519Identity } from '../../lib/container/x25519.ts'
import { isCiphertext } from '../support/arrival.ts'
import { PASSWORD, USER } from '../support/site.ts'
import { submit } from '../support/smtp-client.ts'
import type { Delivery } from '../support/smtp-sink.ts'
import { letter, startWorld, type World } from '../support/world.ts'

const text = ({ message }: Delivery): string => message.toString('latin1')

/** The kinds of stanzas in a ciphertext, from the age header. */
function stanzasOf(delivery: Delivery): string[] {
  const base64 = /base64\r\n\r\n([\s\S]*?)\r\n\r\n--/.exec(text(delivery))?.[1] ?? ''
  const header = Buffer.from(base64, 'base64').toString('latin1')
  return [...header.matchAll(/^-> (\S+)/gm)].flatMap(([, kind]) => kind ?? [])
}

describe('the policy of outgoing mail', () => {
  let world: World
  before(async () => {
    const { recipient } = generateX25519Identity()
    world = await startWorld({
      plainDomains: ['u.example', 'k.example', 'never.example'],
      tableA: `
  u.example: { encrypt: required, exempt: [dsn] }
  ann@u.example: { scheme: age, age: ['${recipient}'] }
  never.example: { encrypt: never }
  '*': { encrypt: opportunistic }`,
      filesA: { 'config/hisho.encrypt.ini': '[trigger]\nsubject=[secure]\n' },
    })
    const record = { TXT: [world.keysB.record] }
    for (const domain of ['u.example', 'k.example', 'never.example'])
      world.dns.zone[`_ibemailkey.${domain}`] = record
  })
  after(() => world?.close())
  beforeEach(() => {
    world.c.clear()
    world.inboxA.clear()
    world.inboxB.clear()
  })
  const send = (to: string, fields: Readonly<Record<string, string>> = {}) =>
    world.send(letter('pear', { To: to, ...fields }), [to])

  it('C21: each recipient has one scheme, that of their own line, and a copy of their own group', async () => {
    const to = [
      'ann@u.example',
      'bob@u.example',
      'cyd@u.example',
      'hidden@u.example',
      'x@c.example',
    ]
    await world.send(
      letter('pear', { To: to.filter((one) => !one.startsWith('hidden')).join() }),
      to,
    )
    const deliveries = await world.c.waitFor(4)
    const copies = deliveries.map((one) => [
      one.to.toSorted().join(' '),
      ...new Set(stanzasOf(one)),
    ])
    assert.deepEqual(
      copies.toSorted(([one = ''], [other = '']) => one.localeCompare(other)),
      [
        ['ann@u.example', 'X25519', 'hisho/to'],
        ['bob@u.example cyd@u.example', 'hisho/bf'],
        ['hidden@u.example', 'hisho/bf'],
        ['x@c.example'],
      ],
    )
    for (const delivery of deliveries)
      assert.equal(text(delivery).includes('here is pear'), delivery.to[0] === 'x@c.example')
  })

  for (const fields of [
    { 'X-Hisho-Encrypt': 'yes' },
    { Subject: '=?utf-8?q?=5BSecure=5D?= plans' },
  ] as const)
    it(`C18: with ${Object.keys(fields).join()} a message goes encrypted or not at all`, async () => {
      assert.equal((await send('x@c.example', fields)).code, 550)
      assert.equal((await send('x@never.example', fields)).code, 250)
      const [delivery] = await world.c.waitFor(1)
      assert.ok(isCiphertext(delivery!.message))
      assert.equal(world.c.wire().includes('here is pear'), false)
    })

  it('C18: nothing that a message says has it encrypted less', async () => {
    const fields = {
      'X-Hisho-Encrypt': 'no',
      Subject: '[plain] please',
      Precedence: 'bulk',
      'Auto-Submitted': 'auto-generated',
    }
    assert.equal((await send('bob@u.example', fields)).code, 250)
    const [delivery] = await world.c.waitFor(1)
    assert.ok(isCiphertext(delivery!.message))
  })

  it('C18: mail from outside asks for nothing', async () => {
    const reply = await submit({
      port: world.a.port,
      from: 'x@c.example',
      to: ['carol@a.example'],
      message: Buffer.from(letter('pear', { 'X-Hisho-Encrypt': 'yes' })),
    })
    assert.equal(reply.code, 250)
    const [delivery] = await world.inboxA.waitFor(1)
    assert.match(text(delivery!), /here is pear/)
  })

  const report = (type: string, part: string, more = ''): string =>
    `From: r@a.example\r\nTo: bob@u.example\r\nDate: Sun, 22 Nov 2026 05:00:00 +0000\r\nMessage-ID: <${type}@a.example>\r\nSubject: report\r\n${more}MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=${type}; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nquince\r\n--b\r\nContent-Type: ${part}\r\n\r\nx: y\r\n--b--\r\n`
  const TLS = 'TLS-Report-Domain: b.example\r\nTLS-Report-Submitter: a.example\r\n'

  it('C22: a report goes as it is, where the table says so, and nothing that is only called one', async () => {
    const tls = report('tlsrpt', 'application/tlsrpt+gzip', TLS)
    const dsn = report('delivery-status', 'message/delivery-status')
    for (const [message, to, from, isClear] of [
      [tls, 'bob@k.example', 'r@a.example', true],
      [dsn, 'bob@k.example', '', true],
      [dsn, 'bob@k.example', 'r@a.example', false],
      [dsn, 'bob@u.example', '', true],
      [tls, 'bob@u.example', 'r@a.example', false],
    ] as const) {
      world.c.clear()
      const reply = await world.send(message, [to], from)
      assert.equal(reply.code, 250, reply.text)
      const [delivery] = await world.c.waitFor(1)
      assert.equal(isCiphertext(delivery!.message), !isClear, `${to} from <${from}>`)
      if (isClear) assert.ok(text(delivery!).endsWith(message))
    }
  })

  it('C20: an answer to mail that came encrypted does not go in clear to those without a key', async () => {
    const message = letter('melon')
    const id = /^Message-ID: (.*)\r$/m.exec(message)?.[1] ?? ''
    assert.equal((await world.send(message)).code, 250)
    await world.inboxB.waitFor(1)
    const answer = (to: string, fields: Readonly<Record<string, string>>) =>
      submit({
        port: world.b.port,
        from: 'bob@b.example',
        to: [to],
        message: Buffer.from(letter('melon again', { From: 'bob@b.example', To: to, ...fields })),
        user: USER,
        password: PASSWORD,
      })
    const refused = await answer('x@c.example', { 'In-Reply-To': id })
    assert.equal(refused.code, 550)
    assert.match(
      refused.text,
      /this answers mail that came encrypted, and there is no key for c\.example/,
    )
    assert.equal((await answer('x@c.example', { References: `<a@x> ${id}` })).code, 550)
    assert.equal((await answer('alice@a.example', { 'In-Reply-To': id })).code, 250)
    assert.equal(world.c.wire().includes('melon'), false)
    assert.equal((await answer('x@c.example', { 'In-Reply-To': '<other@a.example>' })).code, 250)
    await world.c.waitFor(1)
  })
})
