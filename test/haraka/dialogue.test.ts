import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { createDialogue, type Dialogue, type DialogueOptions } from '../../lib/haraka/dialogue.ts'

const NEEDED: DialogueOptions = { tls: 'needed', requireTls: false }
const WANTED: DialogueOptions = { tls: 'wanted', requireTls: false }
const HIDDEN: DialogueOptions = { tls: 'hidden', requireTls: false }
const OFFER = ['250-mx', '250-STARTTLS', '250 SIZE 1']

/** What became of it: `C: ...` is a command that Haraka writes, `TLS` a handshake that was good, the rest are lines. */
function play(options: DialogueOptions, script: readonly string[]): readonly string[] {
  const dialogue = createDialogue(options)
  return script.map((line) => playLine(dialogue, line))
}

function playLine(dialogue: Dialogue, line: string): string {
  if (line === 'TLS') {
    dialogue.secure()
    return 'secure'
  }
  if (line.startsWith('C: ')) return dialogue.write(`${line.slice(3)}\r\n`)
  const step = dialogue.read(`${line.replace(/\+$/, '')}\r\n`, line.endsWith('+'))
  switch (step.kind) {
    case 'pass':
    case 'open':
      return `${step.kind} ${step.line.trim()}`
    case 'clear':
      return `clear ${step.line.trim()}${step.lacks === undefined ? '' : ` (${step.lacks})`}`
    case 'end': {
      const { ending } = step
      return ending.cause === 'tls' ? `${ending.resultType}: ${ending.reason}` : ending.reason
    }
  }
}

const last = (options: DialogueOptions, script: readonly string[]): string =>
  play(options, script).at(-1) ?? ''

const HELLO = ['220 hi', 'C: EHLO us', ...OFFER]
const STARTED = [...HELLO, 'C: STARTTLS']

describe('what a server says before mail may go to it', () => {
  it('is given to Haraka as it comes while it is as it should be', () => {
    const script = [...STARTED, '220 go on', 'TLS', 'C: EHLO us', '250-mx', '250 SIZE 1']
    assert.deepEqual(play(NEEDED, script), [
      'pass 220 hi',
      'pass',
      ...OFFER.map((line) => `pass ${line}`),
      'pass',
      'pass 220 go on',
      'secure',
      'pass',
      'pass 250-mx',
      'open 250 SIZE 1',
    ])
  })

  for (const [what, script, outcome] of [
    ['a greeting that refuses', ['554 go away'], 'it greets with 554 go away'],
    ['a greeting that is no SMTP', ['SSH-2.0'], 'what it says is no SMTP'],
    [
      'no STARTTLS',
      ['220 hi', 'C: EHLO us', '250 mx'],
      'starttls-not-supported: it does not offer STARTTLS',
    ],
    [
      'EHLO refused',
      ['220 hi', 'C: EHLO us', '502 what'],
      'starttls-not-supported: it refuses EHLO (502 what)',
    ],
    ['EHLO put off', ['220 hi', 'C: EHLO us', '421 later'], 'it answers EHLO with 421 later'],
    [
      'STARTTLS put off',
      [...STARTED, '454 not now'],
      'starttls-not-supported: it refuses STARTTLS (454 not now)',
    ],
    [
      'STARTTLS refused',
      [...STARTED, '502 what'],
      'starttls-not-supported: it refuses STARTTLS (502 what)',
    ],
    [
      'another yes to STARTTLS than 220',
      [...STARTED, '250 fine'],
      'validation-failure: it answers STARTTLS with 250 fine',
    ],
    [
      'an answer to STARTTLS that is none',
      [...STARTED, 'fine'],
      'validation-failure: its answer to STARTTLS is none of SMTP',
    ],
    [
      'more than the answer to STARTTLS',
      [...STARTED, '220 go on+'],
      'validation-failure: it said more in clear after its answer to STARTTLS',
    ],
  ] as const) {
    it(`${what}: ends the attempt where TLS is needed`, () =>
      assert.equal(last(NEEDED, script), outcome))
  }

  it('says nothing to the log that would not fit in it', () => {
    const reason = last(NEEDED, [`554 \u001b[31m${'x'.repeat(1000)}`])
    assert.match(reason, /^it greets with 554 \?\[31mx{1,120}$/)
  })

  it('without STARTTLS goes on in clear where TLS is only wanted', () => {
    assert.equal(
      last(WANTED, ['220 hi', 'C: EHLO us', '250 mx']),
      'clear 250 mx (it does not offer STARTTLS)',
    )
    assert.deepEqual(
      play(WANTED, ['220 hi', 'C: EHLO us', '502 what', 'C: HELO us', '250 mx']).slice(2),
      ['pass 502 what', 'pass', 'clear 250 mx (it refuses EHLO (502 what))'],
    )
  })

  it('has its offer of STARTTLS hidden after TLS has failed, and wherever it stands', () => {
    assert.deepEqual(play(HIDDEN, HELLO).slice(2), [
      'pass 250-mx',
      'pass 250-HIDDEN',
      'clear 250 SIZE 1',
    ])
    for (const offer of ['250 STARTTLS', '250 starttls', '250 2.0.0 STARTTLS', '250 #STARTTLS'])
      assert.equal(last(HIDDEN, ['220 hi', 'C: EHLO us', offer]), 'clear 250 HIDDEN')
  })

  it('has its offer in the spelling that Haraka knows', () => {
    assert.equal(last(NEEDED, ['220 hi', 'C: EHLO us', '250 StartTLS ']), 'pass 250 STARTTLS')
  })

  it('Q1: must offer REQUIRETLS within TLS where the message requires it', () => {
    const options = { ...NEEDED, requireTls: true }
    const secured = [...STARTED, '220 go on', 'TLS', 'C: EHLO us']
    assert.equal(last(options, [...secured, '250 mx']), 'it does not offer REQUIRETLS')
    assert.equal(last(options, [...secured, '250-mx', '250 RequireTLS']), 'open 250 RequireTLS')
    assert.equal(
      last(options, [...secured, '502 what']),
      'it answers EHLO within TLS with 502 what',
    )
    // An offer in clear is nobody's word.
    const inClear = ['220 hi', 'C: EHLO us', '250-STARTTLS', '250 REQUIRETLS', 'C: STARTTLS']
    assert.equal(
      last(options, [...inClear, '220 go on', 'TLS', 'C: EHLO us', '250 mx']),
      'it does not offer REQUIRETLS',
    )
  })
})

describe('what Haraka may say', () => {
  it('is EHLO, STARTTLS and QUIT, and nothing else, until TLS is there', () => {
    for (const command of ['MAIL FROM:<a@b>', 'HELO us', 'AUTH PLAIN x', 'RCPT TO:<c@d>', 'x'])
      assert.equal(last(NEEDED, [...HELLO, `C: ${command}`]), 'blocked')
    assert.equal(last(NEEDED, [...HELLO, 'C: QUIT']), 'pass')
    assert.equal(last(NEEDED, [...STARTED, '220 go on', 'C: EHLO us']), 'blocked')
  })

  it('is MAIL in clear by its own settings, where TLS is only wanted', () =>
    assert.equal(last(WANTED, [...HELLO, 'C: MAIL FROM:<a@b>']), 'clear'))

  it('is never STARTTLS where that is hidden', () =>
    assert.equal(last(HIDDEN, ['220 hi', 'C: EHLO us', '250-mx', 'C: STARTTLS']), 'blocked'))
})

describe('a connection that is lost', () => {
  for (const [when, script, cause] of [
    ['before the greeting', [], 'server'],
    ['before STARTTLS', HELLO, 'server'],
    ['after STARTTLS', STARTED, 'tls'],
    ['in the handshake', [...STARTED, '220 go on'], 'tls'],
    ['right after the handshake', [...STARTED, '220 go on', 'TLS', 'C: EHLO us'], 'tls'],
  ] as const) {
    it(`${when}: is ${cause === 'tls' ? 'a failure of TLS' : 'no failure of TLS'}`, () => {
      const dialogue = createDialogue(NEEDED)
      for (const line of script) playLine(dialogue, line)
      assert.equal(dialogue.lost('closed').cause, cause)
    })
  }
})

describe('whatever a server says', () => {
  const word = fc.constantFrom(
    '220 hi',
    '250-STARTTLS',
    '250 STARTTLS',
    '250 mx',
    '250-REQUIRETLS',
    '454 no',
    '502 no',
    '354 x',
    'garbage',
    'C: EHLO us',
    'C: HELO us',
    'C: STARTTLS',
    'C: MAIL FROM:<a@b>',
  )
  it('no word of the mail passes where TLS is needed and was not had', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(word, fc.string()), { maxLength: 30 }), (script) => {
        const dialogue = createDialogue(NEEDED)
        for (const line of script) playLine(dialogue, line === 'TLS' ? 'x' : line)
        assert.equal(dialogue.isOpen, false)
        assert.equal(dialogue.write('MAIL FROM:<a@b>\r\n'), 'blocked')
      }),
      { numRuns: 2000 },
    )
  })
})
