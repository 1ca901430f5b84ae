import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { PermError, TempError } from '../../../lib/errors.ts'
import type { SignatureResult } from '../../../lib/mail/signature.ts'
import { TRUST_SOURCES } from '../../../lib/mail/scheme.ts'
import { startSigning, type SigningWorld } from './world.ts'

const LETTER = [
  'Received: from mx.a.example by mx.b.example; Sun, 22 Nov 2026 12:00:00 +0000',
  'From: Alice <alice@a.example>',
  'To: bob@b.example,',
  '\tcarol@b.example',
  'Subject: Contract of the year',
  'Date: Sun, 22 Nov 2026 12:00:00 +0000',
  'Message-ID: <1@a.example>',
  'MIME-Version: 1.0',
  'Content-Type: multipart/mixed; boundary=x',
  'X-Mailer: pen and paper',
  '',
  '--x',
  'Content-Type: text/plain',
  '',
  'We agree on 100 euros.',
  '--x--',
  '',
].join('\r\n')

const SIGNED_NAMES = ['from', 'to', 'subject', 'date', 'message-id', 'mime-version', 'content-type']
const DAY_MS = 86_400_000

type Change = (text: string) => string
const replace =
  (from: string | RegExp, to: string): Change =>
  (text) => {
    const changed = text.replace(from, to)
    assert.notEqual(changed, text, 'the test changes nothing')
    return changed
  }
const above =
  (...lines: readonly string[]): Change =>
  (text) =>
    lines.map((line) => `${line}\r\n`).join('') + text
/** As the last field of the header. */
const below =
  (line: string): Change =>
  (text) =>
    text.replace('\r\n\r\n', `\r\n${line}\r\n\r\n`)
const append =
  (more: string): Change =>
  (text) =>
    text + more
const shown = (result: SignatureResult): string =>
  result.status === 'none' || result.status === 'pass'
    ? result.status
    : `${result.status}: ${result.reason}`

const BAD_SIGNATURE = 'fail: signature does not verify'
const BODY_CHANGED = 'fail: body changed'
const NO_AUTHOR = 'permerror: From is not one field with one mailbox'

describe('signed mail', () => {
  let world: SigningWorld
  let signed: string
  before(async () => {
    world = await startSigning()
    signed = await world.sign(LETTER)
  })
  after(() => world.close())

  const judge = async (text: string): Promise<string> => shown(await world.verify(text))
  const NAMES = { domain: 'a.example', identity: 'alice@a.example' }

  it('verifies, and names the domain and the signer', async () => {
    assert.deepEqual(await world.verify(signed), { status: 'pass', ...NAMES })
  })

  it('without a signature is told from signed, and its body is not read', async () => {
    assert.deepEqual(await world.verify(LETTER), { status: 'none' })
    let read = false
    async function* body(): AsyncGenerator<Uint8Array> {
      read = true
      yield new Uint8Array(1)
    }
    const unsigned = { fields: [], separator: new Uint8Array(0), body: body() }
    assert.deepEqual(await world.signatures.verify(unsigned, TRUST_SOURCES), { status: 'none' })
    assert.equal(read, false)
  })

  it('puts everything that readers see under the signature, and once more than it occurs', () => {
    const names = /\bh=([^;]*);/.exec(signed)![1]!.replaceAll(/\s/g, '').split(':')
    const counts = Object.fromEntries(
      [...new Set(names)].map((name) => [name, names.filter((one) => one === name).length]),
    )
    assert.deepEqual(counts, {
      from: 2,
      sender: 1,
      'reply-to': 1,
      to: 2,
      cc: 1,
      subject: 2,
      date: 2,
      'message-id': 2,
      'in-reply-to': 1,
      references: 1,
      'mime-version': 2,
      'content-type': 2,
      'content-transfer-encoding': 1,
    })
  })

  describe('still verifies', () => {
    const ways: readonly (readonly [string, Change])[] = [
      ['when trace fields are added above', above('Received: by x', 'Return-Path: <a@a.example>')],
      ['when a list adds its fields', above('List-Id: <l.b.example>', 'List-Unsubscribe: <x:y>')],
      ['when unsigned fields are added below', below('X-Spam-Status: No')],
      ['when an unsigned field is changed', replace('pen and paper', 'typewriter')],
      ['when an unsigned field is taken away', replace(/Received: .*\r\n/, '')],
      ['when a long field is folded', replace('Subject: Contract of', 'Subject: Contract\r\n  of')],
      ['when a folded field is unfolded', replace(',\r\n\tcarol', ', carol')],
      ['when white space becomes more', replace('Subject: C', 'SUBJECT  : \t C')],
      ['when white space comes at the end of a line', replace('euros.\r\n', 'euros. \t\r\n')],
      ['when white space within a line becomes more', replace('on 100', 'on \t 100')],
      ['when empty lines come at the end', append('\r\n \r\n\r\n')],
      ['when the end of the last line is lost', replace(/--x--\r\n$/, '--x--')],
      [
        'when signed fields of different names change places',
        (text) => text.replace(/(Subject: .*\r\n)(Date: .*\r\n)/, '$2$1'),
      ],
      ['when its own field is folded anew', replace('; c=relaxed', ';\r\n\tc=relaxed')],
      ['when its own field gets more white space in b', replace(/ b=(.{5})/, ' b=$1\r\n  ')],
    ]
    for (const [name, change] of ways)
      it(name, async () => {
        assert.equal(await judge(change(signed)), 'pass')
      })
  })

  describe('is not taken for good', () => {
    const ways: readonly (readonly [string, Change, string])[] = [
      ['with another word in the Subject', replace('Contract', 'Contrakt'), BAD_SIGNATURE],
      ['with another letter case in the Subject', replace('Contract', 'contract'), BAD_SIGNATURE],
      ['with white space where none was', replace('Contract', 'Con tract'), BAD_SIGNATURE],
      ['with another display name in From', replace('From: Alice', 'From: Bob'), BAD_SIGNATURE],
      ['with another local part in From', replace('<alice@', '<eve@'), BAD_SIGNATURE],
      ['with a recipient more', replace('To: bob', 'To: eve@e.example, bob'), BAD_SIGNATURE],
      ['without its Date', replace(/Date: .*\r\n/, ''), BAD_SIGNATURE],
      ['without its Content-Type', replace(/Content-Type: multi.*\r\n/, ''), BAD_SIGNATURE],
      ['with another boundary', replace('boundary=x', 'boundary=y'), BAD_SIGNATURE],
      ...[
        'Subject: Paid',
        'To: eve@e.example',
        'Date: Mon, 23 Nov 2026 12:00:00 +0000',
        'Content-Type: text/html',
        'Message-ID: <2@a.example>',
        'Sender: eve@e.example',
        'Reply-To: eve@e.example',
        'Cc: eve@e.example',
        'In-Reply-To: <3@a.example>',
        'References: <3@a.example>',
        'Content-Transfer-Encoding: base64',
      ].flatMap(
        (line) =>
          [
            [`with ${line} added above`, above(line), BAD_SIGNATURE],
            [`with ${line} added below`, below(line), BAD_SIGNATURE],
            [
              `with ${line} added in odd spelling`,
              above(line.replace(':', ' \t:\r\n ').toUpperCase()),
              BAD_SIGNATURE,
            ],
          ] as const,
      ),
      ['with the same Subject twice', below('Subject: Contract of the year'), BAD_SIGNATURE],
      ['with a second From above', above('From: eve@a.example'), NO_AUTHOR],
      ['with a second From below', below('From: eve@a.example'), NO_AUTHOR],
      ['with the same From twice', below('From: Alice <alice@a.example>'), NO_AUTHOR],
      [
        'with a second mailbox in From',
        replace('<alice@a.example>', '<alice@a.example>, eve@e.example'),
        NO_AUTHOR,
      ],
      [
        'with a mailbox in front in From',
        replace('From: Alice', 'From: eve@e.example, Alice'),
        NO_AUTHOR,
      ],
      ['without From', replace(/From: .*\r\n/, ''), NO_AUTHOR],
      ['with a From that is no address', replace('<alice@a.example>', ''), NO_AUTHOR],
      [
        'with a From of a host that is none',
        replace('<alice@a.example>', '<alice@[127.0.0.1]>'),
        NO_AUTHOR,
      ],
      [
        'with another domain in From',
        replace('<alice@a.example>', '<alice@b.example>'),
        'neutral: signed by another domain',
      ],
      [
        'with a subdomain in From',
        replace('<alice@a.example>', '<alice@sub.a.example>'),
        'neutral: signed by another domain',
      ],
      ['with a changed byte in the body', replace('100 euros', '900 euros'), BODY_CHANGED],
      ['with a body part more', replace('--x--', '--x\r\n\r\nand more\r\n--x--'), BODY_CHANGED],
      ['with text behind the last body part', append('and more\r\n'), BODY_CHANGED],
      ['with a byte more', append('.'), BODY_CHANGED],
      ['with an empty line within', replace('--x--', '\r\n--x--'), BODY_CHANGED],
      ['with white space at the start of a line', replace('We agree', ' We agree'), BODY_CHANGED],
      ['without its body', replace(/\r\n\r\n[^]*$/, '\r\n\r\n'), BODY_CHANGED],
      ['with bare line ends', (text) => text.replace(/\r\n--x--\r\n$/, '\n--x--\n'), BODY_CHANGED],
      ['with another i', replace('i=alice@', 'i=eve@'), BAD_SIGNATURE],
      ['with a later x', replace(/ x=\d+/, ' x=1795953601'), BAD_SIGNATURE],
      ['with a tag more', replace('IBE-Signature: ', 'IBE-Signature: z=1; '), BAD_SIGNATURE],
      ['with fewer signed fields', replace('h=from:from', 'h=from'), BAD_SIGNATURE],
      ['with another n', replace('n=1;', 'n=2;'), 'permerror: no such key'],
      [
        'with d and i of another domain',
        (text) => text.replace('d=a.ex', 'd=evil.ex').replace('@a.example; n', '@evil.example; n'),
        'neutral: signed by another domain',
      ],
      ['with a broken field', replace('v=2;', 'v=3;'), 'permerror: IBE-Signature: v is not 2'],
      [
        'without From in h',
        replace('h=from:from:', 'h='),
        'permerror: IBE-Signature: h does not hold from',
      ],
    ]
    for (const [name, change, expected] of ways)
      it(name, async () => {
        assert.equal(await judge(change(signed)), expected)
      })

    it('with any one byte of the signed header or the body changed', async () => {
      const parts = /^(?:IBE-Signature: (?:.|\r\n )*\r\n)(Received: .*\r\n)/.exec(signed)!
      const start = parts[0].length
      const end = signed.indexOf('X-Mailer')
      const body = signed.indexOf('\r\n\r\n') + 4
      for (let at = start; at < signed.length; at += at < end ? 3 : 5) {
        if (at >= end && at < body) continue
        const char = signed[at]!
        if (/\s/.test(char)) continue
        const other = char.toLowerCase() === 'q' ? 'w' : 'q'
        const changed = signed.slice(0, at) + other + signed.slice(at + 1)
        assert.notEqual(await judge(changed), 'pass', `at ${at}: ${char}`)
      }
    })
  })

  describe('in time', () => {
    for (const [name, ms, expected] of [
      ['is good for a week, and ten minutes for clocks that differ', 604_800_000 + 600_000, 'pass'],
      ['is expired after that', 604_800_000 + 601_000, 'fail: expired'],
      ['may be from ten minutes ahead', -600_000, 'pass'],
      ['from further ahead fails', -601_000, 'fail: signed in the future'],
    ] as const) {
      it(name, async () => {
        world.clock.passMs(ms)
        const result = await judge(signed)
        world.clock.passMs(-ms)
        assert.equal(result, expected)
      })
    }

    it('is judged by the period that it was made in, also in the next one', async () => {
      const text = LETTER.replaceAll('a.example', 'day.example')
      const daily = await world.sign(text, { address: 'alice@day.example' })
      assert.match(daily, / n=7; p=2026-11-22;/)
      world.clock.passMs(2 * DAY_MS)
      assert.equal(await judge(daily), 'pass')
      world.clock.passMs(-2 * DAY_MS)
    })

    it('needs no period where identities have none', async () => {
      const text = LETTER.replaceAll('a.example', 'none.example')
      const timeless = await world.sign(text, { address: 'alice@none.example' })
      assert.ok(!/ p=/.test(timeless))
      assert.equal(await judge(timeless), 'pass')
    })
  })

  describe('by somebody who has a key and not our code', () => {
    const T = Date.parse('2026-11-22T12:00:00Z') / 1000
    const hand = async (
      changes: Readonly<Record<string, string | undefined>> = {},
      options: { readonly text?: string; readonly identity?: string; readonly tail?: string } = {},
    ): Promise<string> => {
      const { text = LETTER, identity = 'alice@a.example#2026-11', tail = '' } = options
      const bodyHash = / bh=([^;]*);/.exec(await world.sign(text))![1]
      const tags: Readonly<Record<string, string | undefined>> = {
        v: '2',
        a: 'cc-bls12-381',
        c: 'relaxed/relaxed',
        d: 'a.example',
        i: 'alice@a.example',
        n: '1',
        p: '2026-11',
        t: String(T),
        x: String(T + 3600),
        h: SIGNED_NAMES.join(':'),
        bh: bodyHash,
        ...changes,
      }
      const head = Object.entries(tags).flatMap(([tag, value]) =>
        value === undefined ? [] : [`${tag}=${value}`],
      )
      const domain = identity.replace(/.*@/, '').replace(/#.*/, '')
      return world.signAs(text, {
        domain,
        n: Number(tags['n']),
        identity,
        names: tags['h']!.split(':'),
        head: `IBE-Signature: ${head.join('; ')}; b=`,
        tail,
      })
    }

    it('is good without a name listed twice, as long as nothing was added', async () => {
      const text = await hand()
      assert.equal(await judge(text), 'pass')
      assert.equal(await judge(above('Subject: Paid')(text)), 'neutral: subject is not signed')
      assert.equal(await judge(below('Subject: Paid')(text)), BAD_SIGNATURE)
      assert.equal(await judge(above('Sender: e@e.example')(text)), 'neutral: sender is not signed')
      assert.equal(
        await judge(below('Reply-To: e@e.example')(text)),
        'neutral: reply-to is not signed',
      )
    })

    it('is neutral where something that readers see is not signed', async () => {
      for (const name of SIGNED_NAMES.slice(1)) {
        const h = SIGNED_NAMES.filter((other) => other !== name).join(':')
        assert.equal(await judge(await hand({ h })), `neutral: ${name} is not signed`)
      }
    })

    it('is good with unknown tags, and with what follows b', async () => {
      assert.equal(await judge(await hand({ z: 'a b' }, { tail: ' ; y=1;' })), 'pass')
      const changed = (await hand({ z: 'a b' })).replace('z=a b', 'z=a c')
      assert.equal(await judge(changed), BAD_SIGNATURE)
    })

    it('fails with the key of another period', async () => {
      const november = 'alice@a.example#2026-11'
      const october = await hand({ p: '2026-10' }, { identity: 'alice@a.example#2026-10' })
      assert.equal(await judge(october), 'fail: p is not the period of t')
      assert.equal(
        await judge(await hand({ p: '2026-10' }, { identity: november })),
        'fail: p is not the period of t',
      )
      assert.equal(
        await judge(await hand({ p: undefined }, { identity: 'alice@a.example' })),
        'fail: p is not the period of t',
      )
      assert.equal(
        await judge(await hand({ p: '2026-11-22' }, { identity: 'alice@a.example#2026-11-22' })),
        'fail: p is not the period of t',
      )
      assert.equal(
        await judge(await hand({}, { identity: 'alice@a.example#2026-10' })),
        BAD_SIGNATURE,
      )
    })

    it('fails with the key of somebody else', async () => {
      assert.equal(
        await judge(await hand({}, { identity: 'eve@a.example#2026-11' })),
        BAD_SIGNATURE,
      )
      assert.equal(
        await judge(await hand({}, { identity: 'alice@evil.example#2026-11' })),
        BAD_SIGNATURE,
      )
    })

    it('is an error where it would be good for more than 30 days, or for none', async () => {
      assert.equal(
        await judge(await hand({ x: String(T + 2_592_001) })),
        'permerror: IBE-Signature: x is more than 30 days after t',
      )
      assert.equal(
        await judge(await hand({ x: String(T) })),
        'permerror: IBE-Signature: x is not after t',
      )
      assert.equal(
        await judge(await hand({ x: undefined })),
        'permerror: IBE-Signature: x is missing',
      )
    })

    it('fails once the parameters were past their own end', async () => {
      const [parameters] = world.published.get('a.example')!
      world.published.set('a.example', [{ ...parameters!, notAfterSeconds: T - 1 }])
      assert.equal(await judge(await hand()), 'fail: signed after the end of its key')
      world.published.set('a.example', [{ ...parameters!, notAfterSeconds: T }])
      assert.equal(await judge(await hand()), 'pass')
      world.published.set('a.example', [parameters!])
    })
  })

  describe('with several signatures', () => {
    const fieldOf = (text: string): string => /^IBE-Signature: (?:.|\r\n[ \t])*\r\n/.exec(text)![0]
    const evil = () => world.sign(LETTER, { address: 'eve@evil.example' })

    it('counts the best of the author’s domain', async () => {
      const good = fieldOf(signed)
      const broken = good.replace('v=2', 'v=9')
      const stranger = fieldOf(await evil())
      for (const others of [broken, stranger, good, broken + stranger, stranger + broken + broken])
        for (const header of [others + good, good + others])
          assert.deepEqual(await world.verify(header + LETTER), { status: 'pass', ...NAMES })
    })

    it('a good one of another domain does not count, and is not looked into', async () => {
      world.failures.set('evil.example', new Error('nobody may ask'))
      const result = await world.verify(await evil())
      world.failures.clear()
      assert.deepEqual(result, {
        status: 'neutral',
        reason: 'signed by another domain',
        domain: 'evil.example',
        identity: 'eve@evil.example',
      })
      const both = fieldOf(await evil()) + signed.replace('Contract', 'Contrakt')
      assert.equal(await judge(both), BAD_SIGNATURE)
    })

    it('looks at four, from the top', async () => {
      const broken = fieldOf(signed).replace('v=2', 'v=9')
      assert.equal(await judge(broken.repeat(3) + signed), 'pass')
      assert.equal(await judge(broken.repeat(4) + signed), 'permerror: IBE-Signature: v is not 2')
    })
  })

  describe('where keys cannot be had', () => {
    it('is a temporary error while nobody can say, and the log has the cause', async () => {
      world.failures.set('a.example', new TempError('dns/timeout', 'no answer from anywhere'))
      assert.equal(await judge(signed), 'temperror: no key can be had: dns/timeout')
      assert.match(world.log.join('\n'), /warn signature of a\.example: dns\/timeout: no answer/)
      world.failures.clear()
    })

    it('is an error where what is published cannot be used', async () => {
      world.failures.set('a.example', new PermError('ibe/parameters', 'P is nothing'))
      assert.equal(await judge(signed), 'permerror: no key can be had: ibe/parameters')
      world.failures.clear()
      const [parameters] = world.published.get('a.example')!
      world.published.set('a.example', [{ ...parameters!, publicKey: new Uint8Array(96) }])
      assert.equal(await judge(signed), 'permerror: no key can be had: ibe/parameters')
      world.published.set('a.example', [parameters!])
    })

    it('is an error where the domain publishes no such key', async () => {
      const parameters = world.published.get('a.example')!
      world.published.delete('a.example')
      assert.equal(await judge(signed), 'permerror: no such key')
      world.published.set('a.example', parameters)
    })

    it('a mistake of ours is no result', async () => {
      world.failures.set('a.example', new RangeError('a bug'))
      await assert.rejects(world.verify(signed), RangeError)
      world.failures.clear()
    })
  })

  describe('of every shape', () => {
    const shapes: readonly (readonly [string, string])[] = [
      [
        'with octets above 127 in the header',
        LETTER.replace('Contract', 'Vertrag \xfcber \xe9\xff'),
      ],
      ['with octets above 127 and NUL in the body', `${LETTER}\xff\xfe\0 \xa0\r\n`],
      ['without an empty line after its header', LETTER.split('\r\n\r\n')[0]! + '\r\n'],
      [
        'without an empty line, and with a body',
        `${LETTER.split('\r\n\r\n')[0]!}\r\nthis is text\r\n`,
      ],
      ['with an empty body', `${LETTER.split('\r\n\r\n')[0]!}\r\n\r\n`],
      ['with nothing but From', 'From: alice@a.example\r\n\r\n'],
      ['with several of its fields twice', `To: x@b.example\r\nSubject: 2\r\n${LETTER}`],
      ['with a body of 5 MB', `${LETTER}${`${'x '.repeat(40)}\r\n`.repeat(62_000)}`],
      ['with a group in To', LETTER.replace('To: bob', 'To: all: x@b.example;, bob')],
      ['with bare CR and LF', `${LETTER}a\rb\nc\r\r\n`],
    ]
    for (const [name, text] of shapes) {
      it(name, async () => {
        const result = await world.sign(text)
        assert.equal(await judge(result), 'pass')
        assert.equal(await judge(`${result}x`), BODY_CHANGED)
        assert.notEqual(await judge(above('Subject: Paid')(result)), 'pass')
      })
    }

    it('up to as many fields as a signature can list', async () => {
      const repeated = (count: number): string =>
        `${'Content-Transfer-Encoding: 7bit\r\n'.repeat(count)}From: alice@a.example\r\n\r\n`
      const address = `"${'\\"'.repeat(31)}"@a.example`
      const most = await world.sign(repeated(86), { address })
      assert.equal(await judge(most), 'pass')
      await assert.rejects(world.sign(repeated(87), { address }), { code: 'mail/malformed' })
    })

    it('by an address with characters that a tag list does not take', async () => {
      for (const local of ['"a;b c"', 'bounce+x=y', 'b\u00fccher']) {
        const text = LETTER.replace('Alice <alice@', `<${Buffer.from(local).toString('latin1')}@`)
        assert.deepEqual(
          await world.verify(await world.sign(text, { address: `${local}@a.example` })),
          {
            status: 'pass',
            domain: 'a.example',
            identity: `${local}@a.example`,
          },
        )
      }
    })

    it('also where From and signer are two people of one domain', async () => {
      assert.deepEqual(
        await world.verify(await world.sign(LETTER, { address: 'office@a.example' })),
        {
          status: 'pass',
          domain: 'a.example',
          identity: 'office@a.example',
        },
      )
    })
  })
})

describe('the generation to sign with', () => {
  const domains = [
    { domain: 'a.example', n: 1, period: 'month' },
    { domain: 'a.example', n: 2, period: 'day' },
    { domain: 'a.example', n: 3, period: 'none' },
  ] as const
  let world: SigningWorld
  before(async () => {
    world = await startSigning({ domains, lifetimeSeconds: 3600 })
  })
  after(() => world.close())

  it('is the highest that is published too', async () => {
    const all = world.published.get('a.example')!
    const { generationFor } = world.signatures
    assert.deepEqual(await generationFor('a.example'), { n: 3, period: 'none' })
    world.published.set('a.example', all.slice(0, 2))
    assert.deepEqual(await generationFor('a.example'), { n: 2, period: 'day' })
    world.published.set('a.example', [])
    assert.equal(await generationFor('a.example'), undefined)
    assert.equal(await world.signatures.publishes('a.example', TRUST_SOURCES), false)
    world.published.set('a.example', all)
    assert.equal(await world.signatures.publishes('a.example', TRUST_SOURCES), true)
    assert.equal(await generationFor('b.example'), undefined)
  })

  it('is not known while nobody can say what is published', async () => {
    world.failures.set('a.example', new TempError('dns/timeout', 'no answer'))
    await assert.rejects(world.signatures.generationFor('a.example'), { code: 'dns/timeout' })
    await assert.rejects(world.signatures.publishes('a.example', TRUST_SOURCES), {
      code: 'dns/timeout',
    })
    world.failures.clear()
  })

  it('each verifies under its own serial, for as long as was set', async () => {
    for (const n of [1, 2, 3]) {
      const signed = await world.sign(LETTER, { n })
      assert.equal((await world.verify(signed)).status, 'pass')
      world.clock.passMs(4_201_000)
      assert.equal(shown(await world.verify(signed)), 'fail: expired')
    }
  })

  it('that is gone when it comes to signing is an error', async () => {
    const { signatures } = world
    const fields = { fields: [], separator: new Uint8Array(0), body: (async function* () {})() }
    await assert.rejects(signatures.sign(fields, 'a@a.example', { n: 9, period: 'none' }), {
      code: 'protection/no-key',
    })
  })

  it('a lifetime of more than 30 days is a mistake', async () => {
    await assert.rejects(startSigning({ domains: [], lifetimeSeconds: 2_592_001 }), RangeError)
  })
})
