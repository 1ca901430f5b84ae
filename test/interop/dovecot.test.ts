// Users with Dovecot behind the gateway: LMTP in, POP3 and IMAP out. The mailbox has plaintext, the wire has not.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { createTransport } from 'nodemailer'
import { isMarker } from '../../lib/mail/trace.ts'
import { assertOpened, assertUntouched, fieldsAbove, isCiphertext } from '../support/arrival.ts'
import { dovecotMissing, startDovecot, type Dovecot } from '../support/dovecot.ts'
import { readByImap, readByPop3, waitForMessages } from '../support/mailbox-client.ts'
import { peer } from '../support/peers.ts'
import { PASSWORD, USER } from '../support/site.ts'
import { submit } from '../support/smtp-client.ts'
import { letter, startWorld, type World } from '../support/world.ts'

const run = promisify(execFile)

describe('users of b.example with Dovecot', { skip: dovecotMissing }, () => {
  let world: World
  let dovecot: Dovecot

  // A mailbox for each test: what is in it is all that came.
  const users = ['pop', 'imap', 'swaks', 'odd', 'carol', 'dave', 'erin', 'frank', 'grace']
  before(async () => {
    dovecot = await startDovecot(
      Object.fromEntries(users.map((user) => [`${user}@b.example`, `pw-${user}`])),
    )
    world = await startWorld({
      plainDomains: ['spy.example'],
      pluginsB: [
        'auth/flat_file',
        'rcpt_to.in_host_list',
        'hisho/decrypt',
        'hisho/encrypt',
        'queue/lmtp',
      ],
      filesB: { 'config/lmtp.ini': `host=127.0.0.1\nport=${dovecot.lmtpPort}\n` },
    })
    world.dns.zone['_ibemailkey.spy.example'] = { TXT: [world.keysB.record] }
  })
  after(async () => {
    await Promise.all([world?.close(), dovecot?.close()])
  })

  const account = (user: string, port: number) => ({
    port,
    user: `${user}@b.example`,
    password: `pw-${user}`,
  })
  const byPop3 = (user: string, count = 1): Promise<Buffer[]> =>
    waitForMessages(() => readByPop3(account(user, dovecot.pop3Port)), count)
  const byImap = (user: string, count = 1): Promise<Buffer[]> =>
    waitForMessages(() => readByImap(account(user, dovecot.imapPort)), count)
  const mailClient = () =>
    createTransport({
      host: '127.0.0.1',
      port: world.a.port,
      ignoreTLS: true,
      auth: { user: USER, pass: PASSWORD },
    })

  it('read over POP3 what was submitted with nodemailer, and never was in clear between the gateways', async () => {
    const message = letter('pineapple', { To: 'pop@b.example' })
    const envelope = { from: 'alice@a.example', to: ['pop@b.example'] }
    await mailClient().sendMail({ envelope, raw: message })
    const [read] = await byPop3('pop')
    assertOpened(read!, Buffer.from(message))
    assert.doesNotMatch(world.a.log() + world.b.log(), /pineapple/)
  })

  it('read over IMAP what a mail client composed: text, HTML and an attachment', async () => {
    const attachment = Buffer.from(Array.from({ length: 5000 }, (_, i) => i & 0xff))
    await mailClient().sendMail({
      from: 'Älice <alice@a.example>',
      to: 'imap@b.example',
      subject: 'Grüße, 日本',
      text: 'Grüße\n.\n..dots\n',
      html: '<p>Grüße</p>',
      attachments: [{ filename: 'ä.bin', content: attachment }],
    })
    const [read] = await byImap('imap')
    const text = read!.toString('latin1')
    assert.match(text, /^Hisho-Decrypted: ibe-bf; n=1; identity="imap@b\.example#/m)
    assert.match(text, /^Subject: =\?UTF-8\?/m)
    const base64 = text.replaceAll('\r\n', '')
    assert.ok(base64.includes(attachment.subarray(0, 3000).toString('base64')), 'the attachment')
    assert.deepEqual(await byPop3('imap'), [read], 'both ways give the same bytes')
  })

  it('read what was submitted with swaks', { skip: peer('swaks', 'swaks') }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'hisho-swaks-'))
    try {
      const message = letter('from the shell', { To: 'swaks@b.example' })
      writeFileSync(join(folder, 'message'), message.slice(0, -2)) // swaks ends the last line
      const server = ['--server', '127.0.0.1', '--port', `${world.a.port}`]
      const envelope = ['--from', 'alice@a.example', '--to', 'swaks@b.example']
      const login = ['--auth', 'PLAIN', '--auth-user', USER, '--auth-password', PASSWORD]
      const data = ['--data', `@${join(folder, 'message')}`]
      await run('swaks', [...server, ...envelope, ...login, ...data])
      const [read] = await byPop3('swaks')
      assertOpened(read!, Buffer.from(message))
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  it('read odd bytes as they were submitted: dots, 8-bit text, lines of 998 characters', async () => {
    const message = Buffer.from(
      `${letter('odd', { To: 'odd@b.example' })}.\r\n..\r\n.a\r\nÄÖÜ 日本語\r\n${'x'.repeat(998)}\r\n.${'y'.repeat(997)}\r\n\r\n\r\n`,
    )
    assert.equal((await world.send(message, ['odd@b.example'])).code, 250)
    const [pop] = await byPop3('odd')
    assertOpened(pop!, message)
    const [imap] = await byImap('odd')
    assertOpened(imap!, message)
  })

  it('each have their own copy of a message to several, those in Bcc too', async () => {
    const message = letter('for three', { To: 'carol@b.example', Cc: 'dave@b.example' })
    const to = ['carol@b.example', 'dave@b.example', 'erin@b.example']
    assert.equal((await world.send(message, to)).code, 250)
    for (const user of ['carol', 'dave', 'erin']) {
      const [read] = await byPop3(user)
      assertOpened(read!, Buffer.from(message))
      assert.doesNotMatch(read!.toString('latin1'), /^Bcc|identity="(?!(?:carol|dave|erin)@)/im)
    }
    assert.doesNotMatch((await byPop3('carol'))[0]!.toString('latin1'), /erin@/)
  })

  it('find a message in the mailbox as it came, and marked, when it cannot be opened', async () => {
    await world.send(letter('not for frank', { To: 'frank@spy.example' }), ['frank@spy.example'])
    const [sealed] = await world.c.waitFor(1)
    const reply = await submit({
      port: world.b.port,
      from: 'alice@a.example',
      to: ['frank@b.example'],
      message: sealed!.message,
    })
    assert.equal(reply.code, 250, reply.text)
    const [read] = await byPop3('frank')
    assert.ok(isCiphertext(read!))
    const marks = fieldsAbove(read!, sealed!.message).filter(isMarker)
    assert.deepEqual(
      marks.map(({ name }) => name),
      ['hisho-not-decrypted'],
    )
    assert.match(world.b.log(), /not opened, delivered as it came/)
  })

  it('get mail in clear from a site without encryption as it came', async () => {
    const message = letter('in clear', { From: 'x@c.example', To: 'grace@b.example' })
    const sent = { from: 'x@c.example', to: ['grace@b.example'], message: Buffer.from(message) }
    assert.equal((await submit({ port: world.b.port, ...sent })).code, 250)
    const [read] = await byImap('grace')
    assertUntouched(read!, sent.message)
  })
})
