import assert from 'node:assert/strict'
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import fc from 'fast-check'
import { PermError, TempError } from '../../lib/errors.ts'
import { collect, readMessage } from '../../lib/mail/message.ts'
import { exemptionOf } from '../../lib/protection/exemption.ts'
import {
  formatHeldMail,
  parseHeldMail,
  type HeldMail,
} from '../../lib/protection/held/held-mail.ts'
import { formatNotice, type NoticeKind } from '../../lib/protection/held/notice.ts'
import { createRounds, type SendMode } from '../../lib/protection/held/rounds.ts'
import { createHeldStore, type HeldStore, type NewMail } from '../../lib/protection/held/store.ts'

const NEW: NewMail = {
  sender: 'alice@a.example',
  recipients: ['x@c.example', 'y@c.example'],
  reason: 'there is no key for c.example (ibe)',
  messageId: '<1@a.example>',
  notes: {},
}
const MESSAGE = Buffer.from('Subject: plum\r\n\r\nplum\r\n')

async function* bytes(...pieces: readonly (Uint8Array | Error)[]): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) {
    if (piece instanceof Error) throw piece
    yield piece
  }
}

describe('held mail', () => {
  let directory: string
  let store: HeldStore
  let nowMs = 1_795_000_000_000
  const clock = { nowMs: () => nowMs }
  const errors: string[] = []
  beforeEach(() => {
    directory = join(mkdtempSync(join(tmpdir(), 'hisho-held-')), 'held')
    store = createHeldStore({ directory, clock, log: (_level, text) => void errors.push(text) })
    errors.length = 0
  })
  afterEach(() => rmSync(join(directory, '..'), { recursive: true, force: true }))
  const hold = async (mail: Partial<NewMail> = {}): Promise<HeldMail> => {
    const staged = await store.stage({ ...NEW, ...mail }, bytes(MESSAGE))
    await staged.commit()
    return store.get(staged.id)
  }

  describe('in its directory', () => {
    it('is there from the commit on, byte for byte, and for its owner alone', async () => {
      const staged = await store.stage(NEW, bytes(MESSAGE.subarray(0, 5), MESSAGE.subarray(5)))
      assert.deepEqual(await store.list(), [])
      await staged.commit()
      const [mail] = await store.list()
      assert.equal(mail?.sizeBytes, MESSAGE.length)
      assert.deepEqual(await collect(store.message(mail?.id ?? '')), MESSAGE)
      assert.equal(statSync(directory).mode & 0o777, 0o700)
      for (const name of readdirSync(directory))
        assert.equal(statSync(join(directory, name)).mode & 0o777, 0o600)
    })

    it('C17: of a message that does not come whole nothing is left', async () => {
      const error = new TempError('dns/servfail', 'cut off')
      await assert.rejects(store.stage(NEW, bytes(MESSAGE, error)), error)
      assert.deepEqual(readdirSync(directory), [])
      const staged = await store.stage(NEW, bytes(MESSAGE))
      await staged.discard()
      assert.deepEqual(readdirSync(directory), [])
    })

    it('C17: what cannot be written is a temporary failure', async () => {
      writeFileSync(directory, 'in the way')
      await assert.rejects(store.stage(NEW, bytes(MESSAGE)), { code: 'haraka/queue' })
      rmSync(directory)
      const staged = await store.stage(NEW, bytes(MESSAGE))
      rmSync(directory, { recursive: true })
      await assert.rejects(staged.commit(), { code: 'haraka/queue', statusClass: 4 })
    })

    it('an envelope that is damaged is told of, and the others are there', async () => {
      const mail = await hold()
      writeFileSync(join(directory, '20260101-00000000.json'), '{"id":')
      assert.deepEqual(await store.list(), [mail])
      assert.match(errors.join('\n'), /20260101-00000000 cannot be read/)
    })

    it('no id leads out of it', async () => {
      for (const id of ['../x', '', '20260101-0000000', '20260101-00000000.json', '/etc/passwd'])
        await assert.rejects(store.get(id), { code: 'cli/usage' })
    })

    it('what was left half done a day ago goes, and nothing else', async () => {
      const mail = await hold()
      await store.ask(mail.id, 'drop')
      writeFileSync(join(directory, '20260101-aaaaaaaa.eml'), 'old')
      writeFileSync(join(directory, '20260101-bbbbbbbb.eml.tmp'), 'new')
      const old = new Date(nowMs - 2 * 86_400_000)
      utimesSync(join(directory, '20260101-aaaaaaaa.eml'), old, old)
      utimesSync(join(directory, `${mail.id}.eml`), old, old)
      const fresh = new Date(nowMs)
      utimesSync(join(directory, '20260101-bbbbbbbb.eml.tmp'), fresh, fresh)
      await store.sweep()
      assert.deepEqual(
        readdirSync(directory).toSorted(),
        [
          '20260101-bbbbbbbb.eml.tmp',
          ...['ask', 'eml', 'json'].map((end) => `${mail.id}.${end}`),
        ].toSorted(),
      )
    })

    it('its envelope is read as it was written, and nothing else is one', () => {
      const text = fc.string()
      const mail = fc.record({
        id: text,
        since: fc.constant('2026-11-22T05:00:00.000Z'),
        sender: text,
        recipients: fc.array(text, { minLength: 1 }),
        reason: text,
        sizeBytes: fc.nat(),
        notes: fc.dictionary(fc.string({ minLength: 1 }), fc.jsonValue()),
        isAnnounced: fc.boolean(),
      })
      fc.assert(
        fc.property(mail, (one) => {
          const plain = JSON.parse(JSON.stringify(one)) as HeldMail
          assert.deepEqual(parseHeldMail(formatHeldMail(plain)), plain)
        }),
      )
      fc.assert(
        fc.property(fc.oneof(fc.json(), fc.string()), (one) => {
          assert.throws(() => parseHeldMail(one), PermError)
        }),
      )
    })
  })

  describe('in its rounds', () => {
    let sent: [string, SendMode][]
    let told: [NoticeKind, string][]
    let answer: (mail: HeldMail, mode: SendMode) => Promise<readonly string[]>
    let log: string[]
    let holder: string
    beforeEach(() => {
      ;[sent, told, log, holder] = [[], [], [], 'me']
      answer = async () => []
    })
    const rounds = (tellFails?: Error) =>
      createRounds({
        store,
        clock,
        isEnabled: () => true,
        days: 5,
        retrySeconds: 300,
        lease: {
          ttlSeconds: 60,
          take: async () => holder === 'me',
          renew: async () => holder === 'me',
          release: async () => {},
        },
        send: async (mail, mode) => {
          sent.push([mail.id, mode])
          return answer(mail, mode)
        },
        tell: async (_mail, { kind, recipients }) => {
          if (tellFails) throw tellFails
          told.push([kind, recipients.join(' ')])
        },
        log: (level, text) => void log.push(`${level} ${text}`),
      })

    it('its sender is told once, and it is tried again when the time has come', async () => {
      const { id } = await hold()
      const tender = rounds()
      await tender.look()
      await tender.look()
      assert.deepEqual(told, [['held', 'x@c.example y@c.example']])
      assert.deepEqual(sent, [[id, 'sealed']])
      nowMs += 300_000
      await tender.look()
      assert.equal(sent.length, 2)
      assert.equal(told.length, 1)
    })

    it('goes for whom there is a key, and stays for the others', async () => {
      await hold()
      answer = async () => ['x@c.example']
      await rounds().look()
      const [left] = await store.list()
      assert.deepEqual(left?.recipients, ['y@c.example'])
      assert.deepEqual(told, [
        ['sent', 'x@c.example'],
        ['held', 'y@c.example'],
      ])
      answer = async () => ['y@c.example']
      await rounds().look()
      assert.deepEqual(await store.list(), [])
      assert.equal(existsSync(join(directory, `${left?.id}.eml`)), false)
    })

    it('C17: stays whatever fails, and the next one has its turn', async () => {
      const first = await hold()
      nowMs += 1
      const second = await hold()
      answer = async ({ id }) => {
        if (id === first.id) throw new TempError('dns/servfail', 'no answer')
        throw new TypeError('a bug')
      }
      await rounds().look()
      assert.deepEqual(
        (await store.list()).map(({ id }) => id),
        [first.id, second.id],
      )
      assert.match(log.join('\n'), /dns\/servfail/)
    })

    for (const [request, kind] of [
      ['drop', 'dropped'],
      ['drop-silently', undefined],
    ] as const)
      it(`goes when an operator says ${request}`, async () => {
        const { id } = await hold()
        await store.ask(id, request)
        await rounds().look()
        assert.deepEqual(readdirSync(directory), [])
        assert.deepEqual(told, kind ? [[kind, 'x@c.example y@c.example']] : [])
      })

    it('nothing is dropped before its sender is told', async () => {
      const { id } = await hold()
      await store.ask(id, 'drop')
      await rounds(new TempError('haraka/queue', 'full')).look()
      assert.equal((await store.get(id)).id, id)
      assert.equal(await store.requestFor(id), 'drop')
    })

    for (const [request, mode] of [
      ['release', 'as-owed'],
      ['release-plain', 'plain'],
    ] as const)
      it(`is tried at once when an operator says ${request}, once`, async () => {
        const { id } = await hold()
        const tender = rounds()
        await tender.look()
        await store.ask(id, request)
        await tender.look()
        await tender.look()
        assert.deepEqual(sent.slice(1), [[id, mode]])
        assert.match(log.join('\n'), /was asked for, and 2 still wait/)
      })

    it('is returned after its days, tried once more before', async () => {
      const { id } = await hold()
      nowMs += 5 * 86_400_000
      await rounds().look()
      assert.deepEqual(sent, [[id, 'sealed']])
      assert.deepEqual(told, [['expired', 'x@c.example y@c.example']])
      assert.deepEqual(await store.list(), [])
    })

    it('of a bounce nobody is told', async () => {
      await hold({ sender: '' })
      await rounds().look()
      nowMs += 5 * 86_400_000
      await rounds().look()
      assert.deepEqual(told, [])
      assert.deepEqual(await store.list(), [])
    })

    it('is left to the process that has the lease', async () => {
      await hold()
      holder = 'another'
      await rounds().look()
      assert.deepEqual([sent, told], [[], []])
    })
  })

  describe('in the notice to its sender', () => {
    const options = { me: 'mx.a.example', now: new Date(nowMs), expires: new Date(nowMs + 1) }
    for (const [kind, action, status] of [
      ['held', 'delayed', '4.7.3'],
      ['sent', 'relayed', '2.0.0'],
      ['dropped', 'failed', '5.7.1'],
      ['expired', 'failed', '5.7.3'],
    ] as const)
      it(`C9 C30: ${kind}: a report without a word of the message`, async () => {
        const mail = { ...(await hold({ recipients: ['jürgen@c.example', 'x@c.example'] })) }
        const text = formatNotice({ kind, recipients: mail.recipients }, mail, options)
        assert.match(text, /^Auto-Submitted: auto-replied\r$/m)
        assert.match(text, new RegExp(`Action: ${action}\r\nStatus: ${status}\r\n`))
        assert.match(text, /Final-Recipient: rfc822; j\?rgen@c\.example\r\n/)
        assert.match(text, /^References: <1@a\.example>\r$/m)
        assert.doesNotMatch(text, /plum|no key for c\.example/)
        assert.doesNotMatch(text, /[^\r]\n/)
        const read = await readMessage([Buffer.from(text)])
        const start = await collect(read.body)
        const specimen = { fields: read.fields, start, sender: '' }
        assert.equal(exemptionOf(specimen, mail.sender), 'dsn')
      })
  })
})
