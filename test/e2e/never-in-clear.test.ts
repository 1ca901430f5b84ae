// Where encryption is required, no failure lets a byte of plaintext out: the wire and the queue are looked at each time.
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import type { Haraka } from '../support/haraka.ts'
import { sabotage, saboteurFiles, type Sabotage } from '../support/saboteur.ts'
import { letter, startWorld, type World } from '../support/world.ts'

const REQUIRED = [
  'b.example',
  'c.example',
  'broken.example',
  'slow.example',
  'servfail.example',
  'refused.example',
  'offcurve.example',
]
const TABLE = [
  ...REQUIRED.map((domain) => `  ${domain}: { encrypt: required }`),
  '  held.example: { encrypt: required, on_no_key: hold }',
].join('\n')

let count = 0
const newSecret = (): string => `secret-${Date.now()}-${++count}`

function queueHolds(haraka: Haraka, text: string): boolean {
  const queue = join(haraka.directory, 'queue')
  return readdirSync(queue).some((file) => {
    try {
      return readFileSync(join(queue, file)).includes(text)
    } catch {
      return false // delivered meanwhile
    }
  })
}

describe('where encryption is required', () => {
  let world: World

  before(async () => {
    world = await startWorld({
      tableA: `${TABLE}\n  '*': { encrypt: opportunistic }`,
      plainDomains: [...REQUIRED.slice(2), 'held.example'],
      pluginsA: [
        'auth/flat_file',
        'rcpt_to.in_host_list',
        'saboteur',
        'hisho/decrypt',
        'hisho/encrypt',
        'queue/smtp_forward',
      ],
      filesA: saboteurFiles(),
      zone: {
        '_ibemailkey.broken.example': { TXT: ['ver=2.0; a=bf; c=bls12-381; n=1; p=none; P=AAAA'] },
        '_ibemailkey.slow.example': { TXT: [], misbehave: 'drop' },
        '_ibemailkey.servfail.example': { TXT: [], misbehave: 'servfail' },
        '_ibemailkey.refused.example': { TXT: [], misbehave: 'refused' },
        '_ibemailkey.offcurve.example': {
          TXT: [
            `ver=2.0; a=bf; c=bls12-381; n=1; p=none; P=${Buffer.concat([Buffer.of(0x80), Buffer.alloc(95, 7)]).toString('base64')}`,
          ],
        },
      },
    })
  })
  after(() => world?.close())
  beforeEach(() => {
    sabotage(world.a, 'none')
    world.c.clear()
    world.inboxB.clear()
  })

  const assertNothingShows = (secret: string): void => {
    assert.equal(world.c.wire().includes(secret), false, 'plaintext on the wire')
    assert.equal(queueHolds(world.a, secret), false, 'plaintext in the queue')
    assert.doesNotMatch(world.a.log(), new RegExp(secret), 'plaintext in the log')
  }

  for (const [what, domain, code, text] of [
    [
      'the domain publishes nothing: refused while the sender is connected',
      'c.example',
      550,
      /5\.7\.3 .*required/,
    ],
    ['its record is broken: deferred', 'broken.example', 450, /4\.7\.3/],
    ['its point is not on the curve: deferred', 'offcurve.example', 450, /4\.7\.3/],
    ['DNS does not answer: deferred', 'slow.example', 450, /4\.4\.3/],
    ['DNS fails: deferred', 'servfail.example', 450, /4\.4\.3/],
    ['DNS refuses: deferred', 'refused.example', 450, /4\.4\.3/],
  ] as const) {
    it(what, async () => {
      const secret = newSecret()
      const reply = await world.send(letter(secret, { To: `x@${domain}` }), [`x@${domain}`])
      assert.equal(reply.code, code, reply.text)
      assert.match(reply.text, text)
      assert.equal(world.c.deliveries.length, 0)
      assert.deepEqual(world.a.queued(), [])
      assertNothingShows(secret)
    })
  }

  it('one recipient that cannot be protected holds back the whole message', async () => {
    const secret = newSecret()
    const reply = await world.send(letter(secret), ['bob@b.example', 'x@c.example'])
    assert.equal(reply.code, 550)
    assert.deepEqual(world.a.queued(), [])
    assertNothingShows(secret)
  })

  for (const [how, code] of [
    ['throw', 450],
    ['hang', 450],
    ['skip', 450],
    ['reject', 421],
    ['kill before encrypt', 421],
  ] as const satisfies readonly (readonly [Sabotage, number])[]) {
    it(`C17 C28a: encrypt is sabotaged (${how}): refused or cut off, and nothing is queued`, async () => {
      sabotage(world.a, how)
      const secret = newSecret()
      const reply = await sendWhenUp(world, letter(secret))
      assert.equal(reply.code, code, reply.text)
      assert.deepEqual(world.a.queued(), [])
      assertNothingShows(secret)
      assert.equal(world.inboxB.deliveries.length, 0)
    })
  }

  const heldFiles = (): string[] => {
    const directory = join(world.a.directory, 'config', 'hisho.held')
    return existsSync(directory) ? readdirSync(directory).filter((name) => name !== 'lease') : []
  }
  const envelopes = (): string[] => heldFiles().filter((name) => name.endsWith('.json'))
  const WAITING = ['bob@b.example', 'x@held.example']

  for (const how of ['fail at held 1', 'fail at held 2', 'fail at rename 1'] as const)
    it(`C17: what waits for a key cannot be written (${how}): deferred, and nothing is left or goes`, async () => {
      sabotage(world.a, how)
      const secret = newSecret()
      const reply = await sendWhenUp(world, letter(secret), WAITING)
      assert.equal(reply.code, 450, reply.text)
      assert.deepEqual(world.a.queued(), [])
      assert.deepEqual(heldFiles(), [])
      assert.equal(world.inboxB.deliveries.length, 0)
      assertNothingShows(secret)
    })

  it('C17: the thread that pairs is killed: deferred, and all is well once threads live again', async () => {
    sabotage(world.a, 'kill threads')
    const secret = newSecret()
    const recipient = `new${count}@b.example` // nothing is held for this identity yet
    const reply = await sendWhenUp(world, letter(secret, { To: recipient }), [recipient])
    assert.equal(reply.code, 450, reply.text)
    assert.deepEqual(world.a.queued(), [])
    assertNothingShows(secret)
    sabotage(world.a, 'none')
    let again = 0
    for (let tries = 0; tries < 40 && again !== 250; tries++) {
      again = (await sendWhenUp(world, letter(secret, { To: recipient }), [recipient])).code
      if (again !== 250) await new Promise((resolve) => setTimeout(resolve, 250))
    }
    assert.equal(again, 250)
    await world.inboxB.waitFor(1)
    assertNothingShows(secret)
  })

  // Three copies: two at b.example (one of them Bcc), one at another domain in clear.
  const SEVERAL = ['bob@b.example', 'boss@b.example', 'friend@open.example']

  it('C21: all copies or none: a rename that fails leaves an empty queue', async () => {
    sabotage(world.a, 'fail at rename 2')
    const secret = newSecret()
    const reply = await sendWhenUp(world, letter(secret), SEVERAL)
    assert.equal(reply.code, 450, reply.text)
    assert.deepEqual(world.a.queued(), [])
    assert.equal(world.inboxB.deliveries.length, 0)
  })

  for (const how of [
    'kill while staging',
    'kill at rename 1',
    'kill at rename 2',
    'kill after queueing',
  ] as const) {
    it(`the process dies (${how}): what is delivered is protected, and the sender, who got no answer, keeps the message`, async () => {
      sabotage(world.a, how)
      const secret = newSecret()
      const recipients = ['bob@b.example', 'boss@b.example']
      const reply = await sendWhenUp(world, letter(secret), recipients)
      assert.equal(reply.code, 421, reply.text)
      assertNothingShows(secret)
      // The restarted process clears what was half done, and takes the message when it is sent again.
      sabotage(world.a, 'none')
      world.inboxB.clear()
      let again = await sendWhenUp(world, letter(secret), recipients)
      // A connection may still have gone to the process that died.
      if (again.code === 421) again = await sendWhenUp(world, letter(secret), recipients)
      assert.equal(again.code, 250, again.text)
      // A copy that was renamed before the death is delivered as well: at least once, never in clear.
      const got = (recipient: string): boolean =>
        world.inboxB.deliveries.some(({ to }) => to.includes(recipient))
      for (let tries = 0; tries < 200 && !recipients.every(got); tries++) {
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
      for (const recipient of recipients) assert.ok(got(recipient), `${recipient} got it`)
      assertNothingShows(secret)
    })
  }

  for (const how of ['kill at held 2', 'kill at rename 1'] as const)
    it(`C17: the process dies while a message is held (${how}): the sender has it still, and sends it again`, async () => {
      sabotage(world.a, how)
      const secret = newSecret()
      assert.equal((await sendWhenUp(world, letter(secret), WAITING)).code, 421)
      assertNothingShows(secret)
      sabotage(world.a, 'none')
      world.inboxB.clear()
      const before = envelopes().length
      let again = await sendWhenUp(world, letter(secret), WAITING)
      for (let tries = 0; again.code === 421 && tries < 20; tries++)
        again = await sendWhenUp(world, letter(secret), WAITING)
      assert.equal(again.code, 250, again.text)
      assert.equal(envelopes().length, before + 1)
      await world.inboxB.waitFor(1)
      assertNothingShows(secret)
    })

  it('another plugin sends past the chain to a domain with a key: encrypted all the same', async () => {
    sabotage(world.a, 'send past the chain')
    const secret = newSecret()
    assert.equal((await sendWhenUp(world, letter(secret))).code, 450)
    const [delivery] = await world.inboxB.waitFor(1)
    assert.match(delivery!.message.toString(), /Hisho-Decrypted/)
    assertNothingShows(secret)
  })

  it('another plugin sends past the chain to a domain without: held in the queue, never on the wire', async () => {
    sabotage(world.a, 'send past the chain')
    const secret = newSecret()
    await sendWhenUp(world, letter(secret, { To: 'x@c.example' }), ['x@c.example'])
    await world.a.waitForLog(/haraka\/unprotected: c\.example requires encryption/)
    assert.equal(world.c.wire().includes(secret), false)
    assert.equal(world.c.deliveries.length, 0)
  })
})

/** The master process starts a new worker after a death; until then connections are refused. */
async function sendWhenUp(world: World, message: string, to?: readonly string[]) {
  for (let tries = 0; ; tries++) {
    try {
      return await world.send(message, to)
    } catch (error) {
      if (tries === 200) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}
