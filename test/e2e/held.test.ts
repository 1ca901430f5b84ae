// Mail for recipients without a key: kept, sent when there is one, returned; and what its sender is told.
import assert from 'node:assert/strict'
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { userInfo } from 'node:os'
import { after, before, beforeEach, describe, it } from 'node:test'
import { hisho as run } from '../cli/site.ts'
import { isCiphertext } from '../support/arrival.ts'
import { hishoIni } from '../support/site.ts'
import type { SmtpSink } from '../support/smtp-sink.ts'
import { letter, startWorld, type World } from '../support/world.ts'

const TABLE = `
  c.example: { encrypt: required, on_no_key: hold }
  later.example: { encrypt: required, on_no_key: hold }
  soft.example: { on_no_key: hold }
  '*': { encrypt: opportunistic }`

describe('mail that waits for a key', () => {
  let world: World
  const held = (): string => join(world.a.directory, 'config', 'hisho.held')
  const ids = (): string[] =>
    readdirSync(held())
      .filter((name) => name.endsWith('.json'))
      .map((name) => name.slice(0, -5))
  const hisho = (...words: string[]) => run(['--haraka', world.a.directory, ...words])
  const notices = async (inbox: SmtpSink, kind: RegExp): Promise<string> => {
    for (let tries = 0; tries < 300; tries++) {
      const found = inbox.deliveries.find(({ message }) => kind.test(message.toString()))
      if (found) {
        assert.equal(found.from, '')
        return found.message.toString()
      }
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    throw new Error(`no notice ${kind}:\n${world.a.log().slice(-4000)}`)
  }
  const none = async (): Promise<void> => {
    for (let tries = 0; tries < 300 && ids().length > 0; tries++)
      await new Promise((resolve) => setTimeout(resolve, 50))
    assert.deepEqual(ids(), [])
  }

  before(async () => {
    world = await startWorld({
      tableA: TABLE,
      zone: { 'later.example': { soa: { ttl: 1, minimum: 1 } } },
      plainDomains: ['later.example', 'soft.example', 'open.example'],
      filesA: (dnsPort) => ({
        'config/hisho.ini': hishoIni(dnsPort, '[held]\nretry_seconds=1\n'),
      }),
    })
  })
  after(() => world?.close())
  beforeEach(() => {
    world.c.clear()
    world.inboxA.clear()
    world.inboxB.clear()
  })

  it('C9 C17 C21: is kept for those without a key alone, told to its sender without a word of it, and goes encrypted when there is one', async () => {
    const to = ['bob@b.example', 'x@later.example', 'y@later.example', 'z@open.example']
    const fields = { To: 'bob@b.example, x@later.example', Cc: 'z@open.example' }
    const reply = await world.send(letter('grapefruit', fields), to)
    assert.equal(reply.code, 250, reply.text)
    assert.match(reply.text, /queued as 2 messages; kept until there is a key/)
    await world.inboxB.waitFor(1)
    const [open] = await world.c.waitFor(1)
    assert.deepEqual(open?.to, ['z@open.example'])
    const [id = ''] = ids()
    assert.equal(statSync(held()).mode & 0o777, 0o700)
    for (const end of ['json', 'eml'])
      assert.equal(statSync(join(held(), `${id}.${end}`)).mode & 0o777, 0o600)
    const envelope = readFileSync(join(held(), `${id}.json`), 'utf8')
    assert.match(envelope, /"author": "alice@a\.example"/)
    const notice = await notices(world.inboxA, /Not sent yet/)
    assert.match(notice, /^Auto-Submitted: auto-replied\r$/m)
    assert.match(
      notice,
      /Final-Recipient: rfc822; x@later\.example\r\nAction: delayed\r\nStatus: 4\.7\.3/,
    )
    assert.doesNotMatch(notice, /grapefruit|bob@b|open\.example/)
    world.c.clear()
    world.dns.zone['_ibemailkey.later.example'] = { TXT: [world.keysB.record] }
    const deliveries = await world.c.waitFor(2)
    assert.deepEqual(deliveries.map((one) => one.to.join()).toSorted(), [
      'x@later.example',
      'y@later.example',
    ])
    for (const { message } of deliveries) assert.ok(isCiphertext(message))
    assert.equal(world.c.wire().includes('grapefruit'), false)
    await notices(world.inboxA, /Sent: your message/)
    await none()
  })

  it('C9: is dropped by an operator, and its sender told', async () => {
    await world.send(letter('lemon', { To: 'x@c.example' }), ['x@c.example'])
    const [id = ''] = ids()
    const list = await hisho('held', 'list', '--json')
    assert.equal(list.code, 0, list.stderr)
    assert.equal((JSON.parse(list.text) as { id: string }[])[0]?.id, id)
    assert.doesNotMatch(list.text, /lemon/)
    assert.match((await hisho('held', 'show', id)).text, /x@c\.example/)
    assert.match((await hisho('held', 'show', id, '--message')).text, /here is lemon/)
    assert.equal((await hisho('held', 'drop', id)).code, 0)
    const notice = await notices(world.inboxA, /Not sent: your message/)
    assert.match(notice, /Action: failed\r\nStatus: 5\.7\.1/)
    assert.doesNotMatch(notice, /lemon/)
    await none()
    assert.equal((await hisho('held', 'drop', id)).code, 64)
  })

  it('C17: cannot be released in clear where encryption is required', async () => {
    await world.send(letter('lime', { To: 'x@c.example' }), ['x@c.example'])
    const [id = ''] = ids()
    const refused = await hisho('held', 'release', id, '--plain', '--yes')
    assert.equal(refused.code, 77, refused.stderr)
    // Nor by whoever writes the request past the command.
    writeFileSync(join(held(), `${id}.ask`), 'release-plain\n')
    await world.a.waitForLog(new RegExp(`held mail ${id} stays: protection/refused`))
    assert.deepEqual(ids(), [id])
    assert.equal(world.c.deliveries.length, 0)
    assert.equal((await hisho('held', 'drop', id, '--silent', '--yes')).code, 0)
    await none()
  })

  it('is released in clear by the word of an operator where the table leaves the choice', async () => {
    await world.send(letter('mango', { To: 'x@soft.example' }), ['x@soft.example'])
    const [id = ''] = ids()
    await notices(world.inboxA, /Not sent yet/)
    assert.equal((await hisho('held', 'release', id)).code, 0)
    await world.a.waitForLog(new RegExp(`${id}: release was asked for, and 1 still wait`))
    assert.equal((await hisho('held', 'release', id, '--plain')).code, 64, 'not without a word')
    assert.equal((await hisho('held', 'release', id, '--plain', '--yes')).code, 0)
    const [delivery] = await world.c.waitFor(1)
    assert.match(delivery!.message.toString(), /here is mango/)
    await none()
  })

  it('is returned when no key came in time', async () => {
    await world.send(letter('nectarine', { To: 'x@c.example' }), ['x@c.example'])
    const [id = ''] = ids()
    const file = join(held(), `${id}.json`)
    const mail = JSON.parse(readFileSync(file, 'utf8')) as object
    writeFileSync(file, JSON.stringify({ ...mail, since: '2026-01-01T00:00:00.000Z' }))
    const notice = await notices(world.inboxA, /no key came/)
    assert.match(notice, /Action: failed\r\nStatus: 5\.7\.3/)
    assert.doesNotMatch(notice, /nectarine/)
    await none()
  })

  it('C17: the directory cannot be written: deferred, and nothing goes to the others', async () => {
    rmSync(held(), { recursive: true, force: true })
    writeFileSync(held(), 'in the way')
    const reply = await world.send(letter('orange'), ['bob@b.example', 'x@c.example'])
    assert.equal(reply.code, 450, reply.text)
    assert.deepEqual(world.a.queued(), [])
    assert.equal(world.inboxB.deliveries.length, 0)
    rmSync(held())
    if (userInfo().uid === 0) return
    mkdirSync(held(), { mode: 0o500 })
    assert.equal((await world.send(letter('orange'), ['x@c.example'])).code, 450)
    chmodSync(held(), 0o700)
  })
})
