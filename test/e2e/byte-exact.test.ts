// The message that arrives equals the one submitted, byte for byte below the trace fields.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { parseFields } from '../../lib/mail/header.ts'
import { isMarker, isTrace } from '../../lib/mail/trace.ts'
import { corpusMissing, readCorpus } from '../support/corpus.ts'
import type { Delivery } from '../support/smtp-sink.ts'
import { letter, startWorld, type World } from '../support/world.ts'

const HEADER =
  'From: alice@a.example\r\nTo: bob@b.example\r\nSubject: s\r\nMessage-ID: <x@a.example>\r\nDate: Sun, 22 Nov 2026 05:00:00 +0000\r\n'

const MESSAGES: Record<string, Buffer> = {
  'dots at the start of lines': Buffer.from(`${HEADER}\r\n.\r\n..\r\n.a\r\nb\r\n...\r\n`),
  '8-bit text': Buffer.from(
    `${HEADER}Content-Type: text/plain; charset=utf-8\r\n\r\nÄÖÜ 日本語 \r\n`,
  ),
  'bytes that are no UTF-8, in header and body': Buffer.from(
    `${HEADER}X-Odd: \xe4\xf6\xfc\r\n\r\n\xff\xfe\x80\r\n`,
    'latin1',
  ),
  'NUL bytes': Buffer.from(`${HEADER}\r\na\0b\0\0\r\n\0\r\n`),
  'a bare CR, in header and body': Buffer.from(`${HEADER}X-Odd: a\rb\r\n\r\na\rb\r\r\nc\r\n`),
  'lines of 998 characters': Buffer.from(
    `${HEADER}X-Long: ${'h'.repeat(990)}\r\n\r\n${'x'.repeat(998)}\r\n.${'y'.repeat(997)}\r\n`,
  ),
  'lines of 5000 characters': Buffer.from(`${HEADER}\r\n${'x'.repeat(5000)}\r\n`),
  'no body': Buffer.from(`${HEADER}\r\n`),
  'an empty line at the end': Buffer.from(`${HEADER}\r\na\r\n\r\n\r\n`),
  'no empty line after the header': Buffer.from(HEADER),
  'no header at all': Buffer.from('just some words\r\nand more\r\n'),
  'a header line that starts with a dot': Buffer.from(`${HEADER}.Odd: x\r\n\r\nbody\r\n`),
  'header fields with names that are unsafe in JavaScript': Buffer.from(
    `${HEADER}__proto__: x\r\nconstructor: y\r\n\r\nbody\r\n`,
  ),
  'repeated and folded fields': Buffer.from(
    `${HEADER}X-A: 1\r\nX-B: 2\r\n\tfolded\r\nX-A: 1\r\n folded too\r\nX-a:3\r\n\r\nbody\r\n`,
  ),
  'deep MIME': deepMime(60),
  'Authentication-Results of another server': Buffer.from(
    `${HEADER}Authentication-Results: other.example; spf=pass\r\nX-Last: 1\r\n\r\nbody\r\n`,
  ),
  'something that looks like one of ours': Buffer.from(
    `${HEADER}\r\nContent-Type: multipart/encrypted; protocol="application/hisho-encrypted"; boundary=x\r\n\r\n--x\r\n`,
  ),
}

function deepMime(depth: number): Buffer {
  let inner = 'Content-Type: text/plain\r\n\r\nthe core\r\n'
  for (let level = 0; level < depth; level++) {
    inner = `Content-Type: multipart/mixed; boundary="b${level}"\r\n\r\n--b${level}\r\n${inner}\r\n--b${level}--\r\n`
  }
  return Buffer.from(`${HEADER}MIME-Version: 1.0\r\n${inner}`)
}

/** What stands above the submitted bytes, which must be trace and marks alone. */
function assertArrived(delivery: Delivery, submitted: Buffer, log: string): void {
  const { message } = delivery
  const at = message.length - submitted.length
  const tail = message.subarray(Math.max(0, at))
  if (!tail.equals(submitted)) {
    assert.equal(message.toString('latin1'), submitted.toString('latin1'), log.slice(-2000))
  }
  // A message that has no header of its own has an empty line between it and ours: docs/formats.md section 6.
  const top = message
    .subarray(0, at)
    .toString('latin1')
    .replace(/\r\n\r\n$/, '\r\n')
  const above = parseFields(Buffer.from(top, 'latin1'))
  for (const field of above) assert.ok(isTrace(field) || isMarker(field), `added: ${field.name}`)
  assert.ok(
    above.some((field) => field.name === 'hisho-decrypted'),
    'it was not encrypted on its way',
  )
}

for (const host of ['127.0.0.1', '::1']) {
  describe(`mail from a.example to b.example over ${host}`, () => {
    let world: World
    before(async () => {
      world = await startWorld({ host })
    })
    after(() => world?.close())

    for (const [name, message] of Object.entries(MESSAGES)) {
      it(`arrives as it was submitted: ${name}`, async () => {
        world.inboxB.clear()
        const reply = await world.send(message)
        assert.equal(reply.code, 250, reply.text)
        const [delivery] = await world.inboxB.waitFor(1)
        assertArrived(delivery!, message, world.a.log() + world.b.log())
      })
    }

    it('arrives as it was submitted: 26 MB of binary lines', async () => {
      world.inboxB.clear()
      const lines = Array.from({ length: 26_000 }, () => randomBytes(500).toString('hex'))
      const message = Buffer.from(`${HEADER}\r\n${lines.join('\r\n')}\r\n`)
      assert.equal((await world.send(message)).code, 250)
      const [delivery] = await world.inboxB.waitFor(1, 60_000)
      assertArrived(delivery!, message, world.b.log())
    })

    it('nothing of the content is seen between the gateways', async () => {
      world.inboxB.clear()
      await world.send(letter('tangerine'))
      const [delivery] = await world.inboxB.waitFor(1)
      assert.match(delivery!.message.toString(), /about tangerine/)
      assert.doesNotMatch(world.a.log() + world.b.log(), /tangerine/)
    })

    if (host === '127.0.0.1') {
      it(
        'arrives as it was submitted: the odd real-life messages of the corpus',
        { skip: corpusMissing },
        async () => {
          const corpus = readCorpus()
          assert.ok(corpus.length >= 99)
          for (const { file, bytes } of corpus) {
            world.inboxB.clear()
            const reply = await world.send(bytes)
            assert.equal(reply.code, 250, `${file}: ${reply.text}`)
            const [delivery] = await world.inboxB.waitFor(1).catch((error: Error) => {
              throw new Error(
                `${file}: ${error.message}\n${world.a.log().slice(-1500)}\n${world.b.log().slice(-1500)}`,
              )
            })
            const complete = bytes.subarray(-2).equals(Buffer.from('\r\n'))
              ? bytes
              : Buffer.concat([bytes, Buffer.from('\r\n')])
            try {
              assertArrived(delivery!, complete, '')
            } catch (error) {
              throw new Error(`${file}: ${String(error)}`, { cause: error })
            }
          }
        },
      )
    }
  })
}
