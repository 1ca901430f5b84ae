import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { isMarker, isTrace } from '../../lib/mail/trace.ts'
import { headerBytes, readMessage, type Message } from '../../lib/mail/message.ts'
import {
  outerFields,
  protectedEntity,
  restoreEntity,
  type Restored,
} from '../../lib/mail/protected-header.ts'
import { parseFields } from '../../lib/mail/header.ts'
import { corpusMissing, readCorpus } from '../support/corpus.ts'
import { bytesOf, latin1, whole } from './pieces.ts'

const LETTER = `From: Alice <alice@a.example>\r
To: Bob <bob@b.example>\r
Subject: The real subject\r
Date: Sun, 22 Nov 2026 10:00:00 +0000\r
Message-ID: <1@a.example>\r
X-Originating-IP: 10.1.2.3\r
Keywords: secret project\r
Comments: for your eyes\r
MIME-Version: 1.0\r
Content-Type: text/plain; charset=utf-8\r
\r
Hello\r
`

const read = (text: string | Uint8Array): Promise<Message> =>
  readMessage([typeof text === 'string' ? bytesOf(text) : text])

async function sealed(text: string | Uint8Array, addressees: readonly string[] = []) {
  const original = await read(text)
  const outer = outerFields(original.fields)
  const entity = latin1(await whole(protectedEntity(original, addressees)))
  return { outer, outside: latin1(headerBytes(outer, bytesOf(''))), entity }
}

async function restored(outer: string, entity: string): Promise<Restored & { text: string }> {
  const all = await restoreEntity(parseFields(bytesOf(outer)), await read(bytesOf(entity)))
  return { ...all, text: latin1(await whole(all.message)) }
}

describe('what a MIME entity protects of a header', () => {
  it('C16: outside stand who writes to whom, and nothing of subject, keywords, comments or inner hosts', async () => {
    const { outside, entity } = await sealed(LETTER)
    assert.match(outside, /^Subject: \[\.\.\.\]\r$/m)
    assert.doesNotMatch(outside, /real subject|secret project|your eyes|10\.1\.2\.3/)
    assert.match(outside, /^From: Alice <alice@a\.example>\r$/m)
    for (const inside of ['The real subject', 'secret project', 'for your eyes', '10.1.2.3'])
      assert.ok(entity.includes(inside), inside)
    assert.match(entity, /^Content-Type: text\/plain; charset=utf-8;\r\n hp="cipher"\r$/m)
    assert.match(entity, /^HP-Outer: Subject: \[\.\.\.\]\r$/m)
    assert.match(entity, /^HP-Outer: Date: Sun, 22 Nov 2026 10:00:00 \+0000\r$/m)
  })

  it('comes back byte for byte', async () => {
    const { outside, entity } = await sealed(LETTER)
    const back = await restored(outside, entity)
    assert.equal(back.text, LETTER)
    assert.equal(back.headerProtection, 'hp-cipher')
    assert.deepEqual(back.addressees, ['bob@b.example'])
    assert.equal(back.fromMismatch, undefined)
  })

  for (const [title, text] of [
    ['no Content-Type', 'From: a@a.example\r\nSubject: x\r\n\r\nbody\r\n'],
    ['a Content-Type that is none', 'From: a@a.example\r\nContent-Type: text\r\n\r\nbody\r\n'],
    [
      'two of them',
      'From: a@a.example\r\nContent-Type: text/plain\r\nContent-Type: text/html\r\n\r\nb\r\n',
    ],
    ['no empty line', 'From: a@a.example\r\nSubject: x\r\n'],
    ['a line that is no field', 'From: a@a.example\r\nno field\r\nSubject: x\r\n\r\nbody'],
    ['a semicolon at the end', 'From: a@a.example\r\nContent-Type: text/plain; \r\n\r\nbody'],
    ['a comment at the end', 'From: a@a.example\r\nContent-Type: text/plain (a; b)\r\n\r\nbody'],
    ['8-bit text', 'From: a@a.example\r\nSubject: \xe9\r\n\r\n\xff\xfe\r\n'],
  ] as const) {
    it(`so does one with ${title}`, async () => {
      const original = await read(text)
      const outside = latin1(headerBytes(outerFields(original.fields), bytesOf('')))
      const entity = latin1(await whole(protectedEntity(original, [])))
      assert.equal((await restored(outside, entity)).text, text)
    })
  }

  it(
    'of odd real mail everything comes back but the fields of its way',
    { skip: corpusMissing },
    async () => {
      let odd = 0
      for (const { file, bytes } of readCorpus()) {
        const original = await read(bytes)
        const kept = original.fields.filter(
          (field) =>
            field.name !== 'bcc' &&
            field.name !== 'hp-outer' &&
            !isTrace(field) &&
            !isMarker(field),
        )
        if (!kept.every(({ raw }) => /^(?:[^\r\n\0]*\r\n)+$/.test(latin1(raw)))) {
          odd += 1 // bare CR, LF or NUL in a header: not restored, on purpose
          continue
        }
        const body = await read(bytes)
        const outside = latin1(headerBytes(outerFields(original.fields), bytesOf('')))
        const entity = latin1(await whole(protectedEntity(body, ['x@b.example'])))
        const back = await restored(outside, entity)
        assert.equal(back.text, latin1(await whole({ ...original, fields: kept })), file)
      }
      assert.ok(odd < 20, String(odd))
    },
  )

  it('a copy names inside those whom To and Cc do not show, and the field goes when it is opened', async () => {
    const { outside, entity } = await sealed(LETTER, ['bob@b.example', 'eve@b.example'])
    assert.match(entity, /^Hisho-Addressees: <eve@b\.example>\r$/m)
    assert.doesNotMatch(outside, /eve/)
    const back = await restored(outside, entity)
    assert.deepEqual(back.addressees, ['bob@b.example', 'eve@b.example'])
    assert.equal(back.text, LETTER)
  })
})

describe('what is taken from the inside', () => {
  const OUTER =
    'From: alice@a.example\r\nTo: bob@b.example\r\nSubject: [...]\r\nMIME-Version: 1.0\r\n'

  it('C15: without a word of header protection only what is of the content; subject and author are those of the outside', async () => {
    const inside = 'Subject: other\r\nFrom: boss@b.example\r\nContent-Type: text/plain\r\n\r\nhi'
    const back = await restored(OUTER, inside)
    assert.equal(back.headerProtection, 'none')
    assert.equal(back.addressees, undefined)
    assert.equal(back.text, `${OUTER}Content-Type: text/plain\r\n\r\nhi`)
  })

  it('C15: never from deeper parts', async () => {
    const inside =
      'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nSubject: deep\r\nContent-Type: text/plain; hp="cipher"\r\n\r\nhi\r\n--b--\r\n'
    const back = await restored(OUTER, inside)
    assert.equal(back.headerProtection, 'none')
    assert.doesNotMatch(back.text.slice(0, back.text.indexOf('\r\n\r\n')), /deep/)
  })

  it('C15: another author inside than outside is not believed, and is said', async () => {
    for (const from of [
      'From: boss@b.example\r\n',
      '',
      'From: alice@a.example\r\nFrom: boss@b.example\r\n',
    ]) {
      const back = await restored(
        OUTER,
        `${from}Subject: x\r\nContent-Type: text/plain; hp="cipher"\r\n\r\nhi`,
      )
      assert.equal(back.fromMismatch, true)
      assert.match(back.text, /^From: alice@a\.example\r\nSubject: x\r\n/)
      assert.doesNotMatch(back.text, /boss/)
    }
  })

  it('C15: never Bcc, Received, Return-Path, Authentication-Results or marks of ours', async () => {
    const forbidden =
      'Bcc: x@b.example\r\nReceived: from x\r\nReturn-Path: <x@a.example>\r\nAuthentication-Results: mx; dkim=pass\r\nHisho-Decrypted: forged\r\nIbemail-Decrypted: true\r\nHP-Outer: Subject: [...]\r\n'
    for (const type of ['text/plain; hp="cipher"', 'text/plain; protected-headers="v1"']) {
      const inside = `${forbidden}From: alice@a.example\r\nSubject: x\r\nContent-Type: ${type}\r\n\r\nhi`
      const { text } = await restored(OUTER, inside)
      assert.match(text, /^Subject: x\r$/m)
      assert.doesNotMatch(text, /Bcc|Received|Return-Path|Authentication|forged|Ibemail|HP-Outer/i)
    }
  })

  it('C15: no bare CR, LF or NUL of the inside makes a line of its own', async () => {
    const inside =
      'From: alice@a.example\r\nSubject: a\rBcc: x@b.example\0\r\nX-A: 1\nX-B: 2\r\nContent-Type: text/plain; hp="cipher"\r\n\r\nhi'
    const { text } = await restored(OUTER, inside)
    const header = text.slice(0, text.indexOf('\r\n\r\n'))
    assert.doesNotMatch(header.replaceAll('\r\n', ''), /[\r\n\0]/)
    assert.match(header, /^Subject: aBcc: x@b\.example\r$/m)
  })

  it('the older form with protected-headers="v1" gives the fields that it has, and the outside the rest', async () => {
    const outer = `${OUTER}Date: today\r\n`
    const inside =
      'Subject: real\r\nFrom: alice@a.example\r\nContent-Type: text/plain; protected-headers="v1"\r\n\r\nhi'
    const back = await restored(outer, inside)
    assert.equal(back.headerProtection, 'legacy')
    assert.match(back.text, /^Subject: real\r$/m)
    assert.match(back.text, /^Date: today\r$/m)
    assert.doesNotMatch(back.text, /\[\.\.\.\]/)
  })

  it('a whole message with forwarded=no is unwrapped, any other message inside is not', async () => {
    const inner = 'From: alice@a.example\r\nTo: bob@b.example\r\nSubject: real\r\n\r\nhi'
    const back = await restored(OUTER, `Content-Type: message/rfc822; forwarded=no\r\n\r\n${inner}`)
    assert.equal(back.text, inner)
    const forwarded = await restored(OUTER, `Content-Type: message/rfc822\r\n\r\n${inner}`)
    assert.equal(forwarded.headerProtection, 'none')
    assert.match(forwarded.text, /^Subject: \[\.\.\.\]\r$/m)
  })

  it('C15: copies of fields for old readers go, in a text and in HTML; all else keeps its bytes', async () => {
    const part = (type: string, text: string): string =>
      `--b\r\nContent-Type: ${type}\r\n\r\n${text}\r\n`
    const inside = (plain: string, html: string): string =>
      `From: alice@a.example\r\nSubject: x\r\nContent-Type: multipart/alternative; boundary=b; hp="cipher"\r\n\r\n` +
      part('text/plain; hp-legacy-display="1"', plain) +
      part('text/html; hp-legacy-display="1"', html) +
      '--b--\r\n'
    const div = '<div class="header-protection-legacy-display"><pre>Subject: x</pre></div>\r\n'
    const { text } = await restored(OUTER, inside('Subject: x\r\n\r\nHi\r\n', `<p>${div}Hi</p>`))
    const expected = inside('Hi\r\n', '<p>Hi</p>').replace('; hp="cipher"', '')
    assert.equal(text, expected)
    const prose = inside('Dear Bob,\r\n\r\nHi\r\n', '<p>Hi</p>')
    assert.equal((await restored(OUTER, prose)).text, prose.replace('; hp="cipher"', ''))
  })

  it('nothing that is inside makes it throw', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.constantFrom(
            'Content-Type: text/plain; hp="cipher"',
            'HP-Outer',
            'Subject: x',
            '\r\n',
            '\r',
            '\n',
            ';',
            '--b',
            ' ',
            'multipart/mixed; boundary=b',
            'Content-Type: ',
            '\0',
            ': ',
          ),
          { maxLength: 30 },
        ),
        async (pieces) => {
          await restored(OUTER, pieces.join(''))
        },
      ),
    )
  })
})
