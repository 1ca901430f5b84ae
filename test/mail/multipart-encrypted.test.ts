import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { PermError } from '../../lib/errors.ts'
import { collect, readMessage, type Message } from '../../lib/mail/message.ts'
import {
  formatEncrypted,
  isEncryptedMessage,
  parseEncrypted,
} from '../../lib/mail/multipart-encrypted.ts'
import { parseFields } from '../../lib/mail/header.ts'
import { anyBytes, bytesOf, cut, latin1, places, shown, whole } from './pieces.ts'

const BOUNDARY = '=_hisho_abc'

async function* stream(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces
}

function format(header: string | Uint8Array, ciphertext: readonly Uint8Array[]): Message {
  const block = typeof header === 'string' ? bytesOf(header) : header
  return formatEncrypted(parseFields(block), stream(ciphertext), BOUNDARY)
}

async function written(header: string, ciphertext: Uint8Array): Promise<string> {
  return latin1(await whole(format(header, [ciphertext])))
}

async function parse(text: string | readonly Uint8Array[]): Promise<string> {
  const pieces = typeof text === 'string' ? [bytesOf(text)] : text
  return latin1(await collect(parseEncrypted(await readMessage(pieces))))
}

describe('an encrypted message', () => {
  it('gives back the ciphertext, whatever it is and however it is cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 400 }),
        places,
        places,
        async (ciphertext, in_, out) => {
          const bytes = await whole(format('From: a@x.example\r\n', cut(ciphertext, in_)))
          assert.equal(await parse(cut(bytes, out)), latin1(ciphertext))
        },
      ),
    )
  })

  it('gives back a large ciphertext in many pieces', async () => {
    const ciphertext = new Uint8Array(300_001).map((_, at) => (at * 7) % 251)
    const bytes = await whole(format('', cut(ciphertext, [1, 57, 58_367, 58_368, 58_369, 200_000])))
    const many = cut(
      bytes,
      Array.from({ length: 500 }, (_, at) => at * 911),
    )
    assert.equal(await parse(many), latin1(ciphertext))
  })

  it('says outside what docs/formats.md lists, and nothing else', async () => {
    const header = [
      'Received: from x\r\n',
      'Return-Path: <a@x.example>\r\n',
      'From: Ann\r\n <a@x.example>\r\n',
      'to : b@y.example\r\n',
      'Cc:c@y.example\r\n',
      'Bcc: hidden@y.example\r\n',
      'Subject: secret plans\r\n',
      'Date: Sun, 22 Nov 2026 10:00:00 +0000\r\n',
      'Message-ID: <1@x.example>\r\n',
      'References: <0@x.example>\r\n',
      'In-Reply-To: <0@x.example>\r\n',
      'Reply-To: d@x.example\r\n',
      'Authentication-Results: x; y=z\r\n',
      'Hisho-Decrypted: yes\r\n',
      'Content-Type: text/plain\r\n',
      'X-Mailer: m\r\n',
      'a line that is no field\r\n',
    ]
    const { fields } = format(header.join(''), [])
    assert.deepEqual(
      fields.map((field) => latin1(field.raw)),
      [
        'From: Ann\r\n <a@x.example>\r\n',
        'to : b@y.example\r\n',
        'Cc:c@y.example\r\n',
        'Date: Sun, 22 Nov 2026 10:00:00 +0000\r\n',
        'Message-ID: <1@x.example>\r\n',
        'References: <0@x.example>\r\n',
        'In-Reply-To: <0@x.example>\r\n',
        'Subject: [...]\r\n',
        'MIME-Version: 1.0\r\n',
        'Content-Type: multipart/encrypted; protocol="application/hisho-encrypted";\r\n boundary="=_hisho_abc"\r\n',
      ],
    )
  })

  it('reads as docs/formats.md has it', async () => {
    assert.equal(
      await written('To: b@y.example\r\n', bytesOf('x'.repeat(60))),
      [
        'To: b@y.example',
        'Subject: [...]',
        'MIME-Version: 1.0',
        'Content-Type: multipart/encrypted; protocol="application/hisho-encrypted";',
        ' boundary="=_hisho_abc"',
        '',
        '--=_hisho_abc',
        'Content-Type: application/hisho-encrypted',
        '',
        'Version: 2',
        '',
        '--=_hisho_abc',
        'Content-Type: application/octet-stream; name="encrypted.hisho"',
        'Content-Disposition: attachment; filename="encrypted.hisho"',
        'Content-Transfer-Encoding: base64',
        '',
        'eHh4'.repeat(19),
        'eHh4',
        '',
        '--=_hisho_abc--',
        '',
      ].join('\r\n'),
    )
  })

  it('is printable ASCII in CRLF lines of at most 998, none of which starts with a dot, whatever the header was', async () => {
    const names = fc.constantFrom('From', 'To', 'Cc', 'Date', 'Message-ID', 'References', 'TO ')
    const header = fc
      .array(fc.tuple(names, anyBytes, fc.constantFrom('\r\n', '\n', '')), { maxLength: 5 })
      .map((lines) =>
        Buffer.concat(
          lines.flatMap(([name, value, end]) => [bytesOf(`${name}:`), value, bytesOf(end)]),
        ),
      )
    await fc.assert(
      fc.asyncProperty(header, fc.uint8Array(), async (block, ciphertext) => {
        const text = latin1(await whole(format(block, [ciphertext])))
        assert.match(text, /^(?:[\t -~]*\r\n)*$/)
        assert.doesNotMatch(text, /^\./m)
        assert.equal(await parse(text), latin1(ciphertext))
      }),
    )
  })

  it('shows a question mark for what is not ASCII', () => {
    const [from] = format('From: J\xc3\xbcrgen \0<j@x.example>\rx\r\n', []).fields
    assert.deepEqual(from && shown(from), {
      name: 'from',
      raw: 'From: J??rgen ?<j@x.example>?x\r\n',
    })
  })
})

const GOOD = [
  'Content-Type: multipart/encrypted; protocol="application/hisho-encrypted"; boundary="b1"',
  '',
  '--b1',
  'Content-Type: application/hisho-encrypted',
  '',
  'Version: 2',
  '',
  '--b1',
  'Content-Type: application/octet-stream; name="encrypted.hisho"',
  'Content-Transfer-Encoding: base64',
  '',
  'aGVsbG8gd29ybGQ=',
  '',
  '--b1--',
  '',
].join('\r\n')

describe('an encrypted message on its way through other servers', () => {
  const changes: readonly [title: string, from: string | RegExp, to: string][] = [
    ['nothing', /^/, ''],
    ['base64 wrapped anew', 'aGVsbG8gd29ybGQ=', 'aGVs\r\n bG8gd2\r\n\r\n9ybGQ=\r\n'],
    ['base64 on one line with a blank behind it', 'd29ybGQ=', 'd29ybGQ= '],
    [
      'parameters folded and in another order',
      /protocol=(.*); boundary="b1"/,
      '\r\n\tboundary=b1;\r\n  protocol=$1',
    ],
    ['parameters without quotes and a comment', 'boundary="b1"', 'boundary=b1 (c)'],
    ['another case of the protocol', 'protocol="application/hisho', 'protocol="Application/HISHO'],
    [
      'more fields in the parts',
      /Content-Type: application/g,
      'X-Added: x\r\nContent-Type: application',
    ],
    ['a charset for the second part', 'octet-stream;', 'octet-stream; charset=binary;'],
    ['an epilogue', /$/, 'This footer was added by a list.\r\n'],
    ['empty lines before the first part', '\r\n\r\n--b1', '\r\n\r\n\r\n\r\n--b1'],
  ]
  for (const [title, from, to] of changes) {
    it(`opens: ${title}`, async () => {
      const text = GOOD.replace(from, to)
      assert.equal(await parse(text), 'hello world')
      assert.equal(isEncryptedMessage((await readMessage([bytesOf(text)])).fields), true)
    })
  }

  const refused: readonly [reason: RegExp, from: string | RegExp, to: string][] = [
    [/boundary/, '; boundary="b1"', ''],
    [/boundary/, 'boundary="b1"', 'boundary=""'],
    [/text before the first part/, '\r\n\r\n--b1', '\r\n\r\nThis is MIME.\r\n--b1'],
    [/ends before its last delimiter/, /--b1/g, '--b2'],
    [/longer than it can be/, '\r\n\r\n--b1', `\r\n\r\n${'\r\n'.repeat(2_000)}--b1`],
    [
      /first part: not application\/hisho-encrypted/,
      'Content-Type: application/hisho',
      'Content-Type: application/pgp',
    ],
    [/Version/, 'Version: 2', 'Version: 3'],
    [/Version/, 'Version: 2', 'Version: 2\r\nmore'],
    [/longer than it can be/, 'Version: 2', `Version: 2${' '.repeat(5_000)}`],
    [/second part: not application\/octet-stream/, 'application/octet-stream', 'text/plain'],
    [/second part: not in base64/, 'Encoding: base64', 'Encoding: 8bit'],
    [/second part: not in base64/, 'Content-Transfer-Encoding: base64\r\n', ''],
    [/ends before its last delimiter/, '--b1--', '--b1'],
    [/ends before its last delimiter/, '\r\n--b1--\r\n', ''],
    [/a character that is none/, 'aGVs', 'aG!s'],
    [/a character that is none/, 'aGVs', 'aG-_'],
    [/a character that is none/, 'aGVs', 'aG=s'],
    [/cut off/, 'd29ybGQ=', 'd29ybG'],
    [/more after its end|a character that is none/, 'd29ybGQ=', 'd29ybGQ=\r\naGVs'],
    [/ends before its last delimiter/, /aGVs[^]*/, 'aGVs'],
  ]
  for (const [reason, from, to] of refused) {
    it(`refused with ${reason}: ${JSON.stringify(String(from))} becomes ${JSON.stringify(to.slice(0, 40))}`, async () => {
      const text = GOOD.replace(from, to)
      assert.notEqual(text, GOOD)
      await assert.rejects(parse(text), (error: unknown) => {
        assert.ok(error instanceof PermError)
        assert.equal(error.code, 'mail/malformed')
        assert.match(error.message, reason)
        return true
      })
    })
  }

  it('is refused or not regardless of where it was cut into pieces', async () => {
    const text = bytesOf(GOOD.replace('d29ybGQ=', 'd29ybGQ=aGVs'))
    for (let at = 0; at <= text.length; at++) {
      await assert.rejects(parse([text.subarray(0, at), text.subarray(at)]), PermError)
    }
  })

  for (const [from, to] of [
    ['application/hisho-encrypted"', 'application/pgp-encrypted"'],
    ['protocol="application/hisho-encrypted"; ', ''],
    ['multipart/encrypted', 'multipart/mixed'],
    ['Content-Type: multipart', 'Content-Type: multipart/encrypted\r\nContent-Type: multipart'],
  ] as const) {
    it(`is not one of ours: ${JSON.stringify(from)} becomes ${JSON.stringify(to)}`, async () => {
      const { fields } = await readMessage([bytesOf(GOOD.replace(from, to))])
      assert.equal(isEncryptedMessage(fields), false)
    })
  }

  it('however it was changed, nothing but a PermError is thrown', async () => {
    const edit = fc.record({
      at: fc.nat(),
      remove: fc.nat(30),
      insert: fc.oneof(
        anyBytes,
        fc.constantFrom('--b1', '\r\n--b1--', '\r\n\r\n', '=').map(bytesOf),
      ),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(edit, { minLength: 1, maxLength: 3 }),
        places,
        async (edits, at) => {
          let bytes: Buffer = Buffer.from(GOOD)
          for (const { at, remove, insert } of edits) {
            const from = at % bytes.length
            bytes = Buffer.concat([bytes.subarray(0, from), insert, bytes.subarray(from + remove)])
            if (bytes.length === 0) return
          }
          await parse(cut(bytes, at)).catch((error: unknown) => {
            assert.ok(error instanceof PermError, String(error))
          })
        },
      ),
      { numRuns: 1_000 },
    )
  })
})
