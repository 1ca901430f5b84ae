// What a decrypting gateway does with mail that means it ill: replays, bombs, forged words, oracles; and with what it may not
// let go. Ciphertexts are made here and handed straight to the gateway.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { addressees } from '../../lib/container/addressees.ts'
import { seal } from '../../lib/container/container.ts'
import {
  ageRecipient,
  ageRecipientOf,
  generateAgeIdentity,
} from '../../lib/container/native-keys.ts'
import { SecretBytes } from '../../lib/crypto/secret-bytes.ts'
import { parseFields } from '../../lib/mail/header.ts'
import { collect, messageBytes, readMessage } from '../../lib/mail/message.ts'
import { formatEncrypted, freshBoundary } from '../../lib/mail/multipart-encrypted.ts'
import { sabotage, saboteurFiles, type Sabotage } from '../support/saboteur.ts'
import { submit, type Reply } from '../support/smtp-client.ts'
import { letter, startWorld, type World } from '../support/world.ts'

const identity = generateAgeIdentity('x25519')
const BOB = 'bob@b.example'

async function sealed(text: string, to: readonly string[] = [BOB]): Promise<Buffer> {
  const message = await readMessage([Buffer.from(text, 'latin1')])
  const recipients = [ageRecipient(ageRecipientOf(identity)), addressees(to)]
  const file = seal(recipients, messageBytes(message))
  const outside = formatEncrypted(message.fields, file, freshBoundary())
  return Buffer.from(await collect(messageBytes(outside)))
}

/** With one letter of the ciphertext changed, far behind its header. */
function damaged(message: Buffer): Buffer {
  const at = message.lastIndexOf('\r\n--') - 60
  const copy = Buffer.from(message)
  copy[at] = copy[at] === 0x41 ? 0x42 : 0x41
  return copy
}

/** Sees what scanners behind hisho/decrypt see, and refuses what it is told to. */
const SCANNER = `
exports.register = function () {
  this.register_hook('data_post', 'scan', 10)
  this.register_hook('data', 'listen')
}
exports.listen = function (next, { transaction }) {
  if (transaction.mail_from.user === 'parts') {
    transaction.parse_body = true
    transaction.attachment_hooks((type, name, body, stream) => {
      stream.on('data', (data) => require('fs').appendFileSync(process.env.HARAKA + '/parts', data))
    })
  }
  next()
}
exports.scan = function (next, connection) {
  const { message_stream: stream, notes } = connection.transaction
  stream.get_data({}, (data) => {
    require('fs').writeFileSync(process.env.HARAKA + '/scanned', data)
    require('fs').writeFileSync(process.env.HARAKA + '/noted', JSON.stringify(notes.hisho_arrival || null))
    next(data.includes('virus') ? DENY : CONT)
  })
}
`

describe('a gateway that opens mail', () => {
  let world: World
  before(async () => {
    const entry = {
      id: 'one',
      identity: new SecretBytes(new TextEncoder().encode(identity)),
      created: '2026-11-22T00:00:00.000Z',
    }
    world = await startWorld({
      ageB: { 'b.example': [entry] },
      lmtpB: true,
      pluginsB: [
        'auth/flat_file',
        'rcpt_to.in_host_list',
        'saboteur',
        'hisho/decrypt',
        'hisho/verify',
        'scanner',
        'hisho/encrypt',
        'queue/lmtp',
        'queue/smtp_forward',
      ],
      filesB: {
        ...saboteurFiles('hisho/decrypt', 'open_message'),
        'plugins/scanner.js': SCANNER,
        'config/hisho.decrypt.ini':
          '[limits]\nbytes=400000\nheader_bytes=20000\nfailures_per_minute=25\n[tag]\nopened=[decrypted]\nremove=[verified]\n',
      },
    })
  })
  after(() => world?.close())
  beforeEach(() => {
    sabotage(world.b, 'none')
    world.b.forgetLog()
    world.inboxB.clear()
  })

  const give = (
    message: Buffer,
    { from = 'ann@a.example', to = [BOB] }: { from?: string; to?: readonly string[] } = {},
  ): Promise<Reply> => submit({ port: world.b.port, from, to, message })

  async function arrives(message: Buffer, envelope = {}): Promise<string> {
    world.inboxB.clear()
    const reply = await give(message, envelope)
    assert.equal(reply.code, 250, reply.text)
    const [delivery] = await world.inboxB.waitFor(1)
    return delivery!.message.toString('latin1')
  }

  const marksOf = (text: string): string[] =>
    parseFields(Buffer.from(text.slice(0, text.indexOf('\r\n\r\n') + 2), 'latin1'))
      .filter(({ name }) => name.startsWith('hisho-'))
      .map(({ raw }) => Buffer.from(raw).toString('latin1').trim())

  it('C8: the same ciphertext under another envelope or Message-ID is held, and an alert is logged', async () => {
    const message = await sealed(letter('replayed'), [BOB, 'carol@b.example'])
    assert.match(await arrives(message), /here is replayed/)
    assert.match(await arrives(message), /here is replayed/, 'once more, as after a lost answer')
    assert.match(await arrives(message, { to: ['carol@b.example'] }), /here is replayed/)
    const renamed = Buffer.from(
      message.toString('latin1').replace(/^Message-ID: .*$/m, 'Message-ID: <other@a.example>'),
      'latin1',
    )
    for (const reply of [
      await give(message, { from: 'mallory@c.example' }),
      await give(renamed),
      await give(renamed, { to: ['carol@b.example'] }),
    ])
      assert.equal(reply.code, 450, reply.text)
    assert.equal(world.inboxB.deliveries.length, 1)
    assert.match(world.b.log(), /\[WARN\].*protection\/replay/)
  })

  it('C10: whatever fails, the answer is one and the same but for its reference', async () => {
    const message = await sealed(letter('oracle'))
    await arrives(message)
    const replay = await give(message, { from: 'mallory@c.example' })
    const store = join(world.b.directory, 'config', 'hisho.store', 'opened')
    renameSync(store, `${store}.away`)
    writeFileSync(store, 'no directory')
    const noStore = await give(await sealed(letter('oracle')))
    rmSync(store)
    renameSync(`${store}.away`, store)
    const replies = [replay, noStore].map(({ code, text }) => {
      assert.match(text, /reference [0-9A-F-]+\.\d/)
      return `${code} ${text.replaceAll(/[0-9A-F]{8}-[0-9A-F-]+(?:\.\d+)?/g, 'REF')}`
    })
    assert.equal(new Set(replies).size, 1, replies.join('\n'))
    assert.match(replies[0] ?? '', /^450 .*4\.7\.5 try again later/)
  })

  it('C1 C5 C33: what does not open, for whatever reason, goes on as it came with one and the same mark', async () => {
    const good = await sealed(letter('shut'))
    const text = good.toString('latin1')
    const foreign = await sealed(letter('shut'), ['somebody@b.example'])
    for (const message of [
      damaged(good),
      foreign,
      Buffer.from(text.replace('Version: 2', 'Version: 9'), 'latin1'),
      Buffer.from(text.slice(0, -300), 'latin1'),
    ]) {
      const delivered = await arrives(message)
      assert.doesNotMatch(delivered, /here is shut/)
      const marks = marksOf(delivered)
      assert.equal(marks.length, 1, marks.join())
      assert.match(marks[0] ?? '', /^Hisho-Not-Decrypted: closed; ref="[0-9A-F-]+\.1"$/)
      assert.ok(delivered.includes(bodyOf(message.toString('latin1')).trimEnd()))
      assert.deepEqual(JSON.parse(readFileSync(join(world.b.directory, 'noted'), 'utf8')), {
        encrypted: true,
        opened: false,
        reason: 'closed',
      })
      assert.match(
        readFileSync(join(world.b.directory, 'scanned'), 'latin1'),
        /^Hisho-Not-Decrypted: closed/m,
      )
    }
  })

  it('C1: plugins that take attachments as they come get nothing of what proves to be damaged', async () => {
    const file = join(world.b.directory, 'parts')
    writeFileSync(file, '')
    const text = letter('parts', {
      'MIME-Version': '1.0',
      'Content-Type': 'multipart/mixed; boundary=b1',
    }).replace(
      'Hello',
      `--b1\r\n\r\ntext\r\n--b1\r\nContent-Type: text/csv; name="a.csv"\r\nContent-Disposition: attachment; filename="a.csv"\r\n\r\nthe attachment\r\n${`${'x'.repeat(900)}\r\n`.repeat(200)}--b1--\r\n`,
    )
    const message = await sealed(text)
    const from = 'parts@a.example'
    assert.doesNotMatch(await arrives(damaged(message), { from }), /the attachment/)
    assert.doesNotMatch(readFileSync(file, 'latin1'), /the attachment/)
    assert.match(await arrives(message, { from }), /the attachment/)
    assert.match(readFileSync(file, 'latin1'), /the attachment/)
  })

  it('C27 C33: what is too large is not opened and is marked, outside and inside', async () => {
    const large = await sealed(
      `${letter('large')}${'x'.repeat(72)}\r\n`.replace(
        'bye',
        `${'x'.repeat(900)}\r\n`.repeat(600),
      ),
    )
    const header = await sealed(letter('large', { 'X-Filler': `x${'\r\n y'.repeat(6_000)}` }))
    for (const message of [large, header]) {
      const delivered = await arrives(message)
      assert.doesNotMatch(delivered, /here is large/)
      assert.match(marksOf(delivered).join(), /^Hisho-Not-Decrypted: limit; ref=/)
    }
  })

  it('C34: what a scanner sees is what is delivered', async () => {
    const original = letter('scanned')
    const delivered = await arrives(await sealed(original))
    const scanned = readFileSync(join(world.b.directory, 'scanned'), 'latin1')
    assert.equal(bodyOf(delivered), bodyOf(scanned))
    assert.ok(scanned.endsWith(original))
    assert.deepEqual(JSON.parse(readFileSync(join(world.b.directory, 'noted'), 'utf8')), {
      encrypted: true,
      opened: true,
    })
  })

  it('C33: a scanner that refuses what was opened says nothing of it', async () => {
    const reply = await give(await sealed(letter('virus')))
    assert.equal(reply.code, 550)
    assert.doesNotMatch(reply.text, /virus|about|alice/)
  })

  it('C12: our tag and our marks are taken out of any mail, and ours stand once in what was opened', async () => {
    const forged = {
      Subject: '[dесrурted] =?utf-8?Q?=5Bdecr?= [Verified] hello',
      'hisho-DECRYPTED ': 'yes; signature=pass',
      'Hisho-Not-Decrypted': 'limit',
      'Authentication-Results': '(x) "mx.b.example"; smime=pass',
    }
    const text = letter('x', forged).replace(
      '[dесrурted]',
      Buffer.from('[dесrурted]').toString('latin1'),
    )
    const clear = await arrives(Buffer.from(text, 'latin1'))
    assert.deepEqual(marksOf(clear), [])
    assert.doesNotMatch(clear, /^Authentication-Results:.*smime=pass/m)
    assert.match(clear, /^Subject: \[decr hello\r$/m)
    const opened = await arrives(await sealed(text))
    assert.match(opened, /^Subject: \[decrypted\] \[decr hello\r$/m)
    assert.doesNotMatch(opened, /^Authentication-Results:.*smime=pass/m)
    assert.match(
      marksOf(opened).join('\n'),
      /^Hisho-Decrypted: age; .*; integrity=ok; signature=none$/,
    )
  })

  it('C13: a text that looks like our mark changes nothing', async () => {
    const body = 'Hisho-Decrypted: smime; signature=pass\r\n[decrypted]\r\n'
    const delivered = await arrives(Buffer.from(letter('x').replace('bye\r\n', body), 'latin1'))
    assert.deepEqual(marksOf(delivered), [])
    assert.ok(delivered.includes(body))
    assert.doesNotMatch(delivered, /^Subject: \[decrypted/m)
  })

  it('C9: a bounce of what was opened and cannot be delivered has nothing of it', async () => {
    const secret = `bounced-${Date.now()}`
    const message = await sealed(
      letter(secret, { To: 'nobody@b.example', 'X-Secret': secret, Comments: secret }),
      ['nobody@b.example'],
    )
    assert.equal(
      (await give(message, { from: 'ann@c.example', to: ['nobody@b.example'] })).code,
      250,
    )
    const [bounce] = await world.c.waitFor(1)
    const text = bounce!.message.toString('latin1')
    assert.match(text, /multipart\/report/)
    assert.match(text, /^Subject: \[\.\.\.\]\r$/m)
    assert.equal(text.includes(secret), false, text)
  })

  it('C30 C31: nothing of what was opened is in the log, the store or a file that is left', async () => {
    const secret = `canary-${Date.now()}`
    assert.ok((await arrives(await sealed(letter(secret)))).includes(secret))
    await give(damaged(await sealed(letter(secret))))
    await world.inboxB.waitFor(2)
    // For the hop to the mailbox it lies in the queue of this host, as all mail does.
    for (let tries = 0; tries < 200 && world.b.queued().length > 0; tries++)
      await new Promise((resolve) => setTimeout(resolve, 50))
    assert.deepEqual(world.b.queued(), [])
    assert.equal(world.b.log().includes(secret), false)
    for (const folder of ['queue', 'config/hisho.store', 'config/hisho.store/opened']) {
      for (const name of readdirSync(join(world.b.directory, folder), { withFileTypes: true }))
        if (name.isFile())
          assert.equal(
            readFileSync(join(world.b.directory, folder, name.name)).includes(secret),
            false,
            name.name,
          )
    }
  })

  /** Until then connections wait without an answer. */
  const restarted = async (): Promise<void> => {
    await world.b.waitForLog(/worker \d+ listening/)
    world.b.forgetLog()
  }

  for (const [how, code] of [
    ['throw', 450],
    ['reject', 421],
    ['skip', 450],
    ['hang', 450],
    ['twice', 250],
  ] as const) {
    it(`C28a: the hook is sabotaged (${how}): nothing is delivered that was not looked at`, async () => {
      sabotage(world.b, how)
      const message = await sealed(letter(`later ${how}`))
      const forged = Buffer.from(letter('x', { 'Hisho-Decrypted': 'yes' }))
      for (const one of [message, forged]) {
        const reply = await giveWhenUp(() => give(one))
        assert.equal(reply.code, code, reply.text)
        if (how === 'reject') await restarted()
      }
      if (code !== 250) assert.equal(world.inboxB.deliveries.length, 0)
      sabotage(world.b, 'none')
      assert.equal((await giveUntilAnswered(() => give(message))).code, 250)
      const deliveries = await world.inboxB.waitFor(code === 250 ? 3 : 1)
      for (const { message: one } of deliveries)
        assert.deepEqual(marksOf(one.toString()).length <= 1, true)
    })
  }

  const MALLORY = 'mallory@b.example'
  const queueOfB = (): string[] =>
    world.b.queued().map((file) => {
      try {
        return readFileSync(join(world.b.directory, 'queue', file), 'latin1')
      } catch {
        return '' // delivered meanwhile
      }
    })

  for (const [how, to] of [
    ['kill before opening', [BOB, MALLORY]],
    ['kill when remembered', [BOB, MALLORY]],
    ['kill before encrypt', [BOB, MALLORY]],
    ['kill while staging', [BOB, MALLORY]],
    ['kill at rename 2', [BOB, MALLORY]],
    ['kill after queueing', [BOB, MALLORY]],
    ['kill after queueing', [BOB]],
  ] as const satisfies readonly (readonly [Sabotage, readonly string[]])[])
    it(`C17 C28: the process dies while it opens for ${to.length} (${how}): the sender has the message still, and each gets what is theirs`, async () => {
      const secret = `dying-${Date.now()}`
      const id = `<${secret.replace('dying', 'mail')}@a.example>`
      const message = await sealed(letter(secret, { 'Message-ID': id }))
      sabotage(world.b, how)
      assert.equal((await giveWhenUp(() => give(message, { to }))).code, 421)
      await restarted()
      // What a dead process has left in its queue is opened, or sealed, for those for whom it is.
      for (const file of queueOfB())
        assert.equal(file.includes(secret) && file.includes('mallory'), false)
      sabotage(world.b, 'none')
      assert.equal((await giveUntilAnswered(() => give(message, { to }))).code, 250)
      const got = (recipient: string): string[] =>
        world.inboxB.deliveries
          .filter((delivery) => delivery.to.includes(recipient))
          .map((delivery) => delivery.message.toString('latin1'))
          .filter((text) => text.includes(id)) // what an earlier process had queued may come late
      for (let tries = 0; tries < 400 && !to.every((one) => got(one).length > 0); tries++)
        await new Promise((resolve) => setTimeout(resolve, 50))
      // Once, and a second time only where the first one was queued before the sender could be told.
      for (const recipient of to) {
        assert.ok([1, 2].includes(got(recipient).length), `${recipient}: ${got(recipient).length}`)
        for (const text of got(recipient)) {
          const isOpened = recipient === BOB
          assert.equal(text.includes(secret), isOpened, recipient)
          assert.match(
            text,
            isOpened ? /^Hisho-Decrypted: age; /m : /^Hisho-Not-Decrypted: closed; /m,
          )
        }
      }
      assert.equal(world.b.log().includes(secret), false)
      assert.equal(world.c.wire().includes(secret), false)
    })

  it('C11: a host whose mail does not open too often in a minute has to wait with what is encrypted', async () => {
    const shut = damaged(await sealed(letter('shut')))
    let deferred = 0
    for (let tries = 0; tries < 30 && deferred === 0; tries++)
      if ((await give(shut)).code === 450) deferred = tries
    assert.ok(deferred > 5, `after ${deferred}`)
    assert.equal((await give(await sealed(letter('good')))).code, 450)
    assert.equal((await give(Buffer.from(letter('clear')))).code, 250)
  })
})

function bodyOf(text: string): string {
  return text.slice(text.indexOf('\r\n\r\n'))
}

/** A connection may have gone to the process that died. */
async function giveUntilAnswered(give: () => Promise<Reply>): Promise<Reply> {
  let reply = await giveWhenUp(give)
  for (let tries = 0; reply.code === 421 && tries < 20; tries++) reply = await giveWhenUp(give)
  return reply
}

async function giveWhenUp(give: () => Promise<Reply>): Promise<Reply> {
  for (let tries = 0; ; tries++) {
    try {
      return await give()
    } catch (error) {
      if (tries === 200) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}
