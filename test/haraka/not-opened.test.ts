import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { PermError, TempError } from '../../lib/errors.ts'
import type { Connection, Plugin, Transaction } from '../../lib/haraka/api.ts'
import type { DecryptContext } from '../../lib/haraka/decrypt.ts'
import { arrivalNote, holdBack, markNotOpened, wasOpened } from '../../lib/haraka/not-opened.ts'
import { replayCheck } from '../../lib/haraka/replay-check.ts'
import { parseFields } from '../../lib/mail/header.ts'
import type { NotOpenedReason } from '../../lib/mail/opened-mark.ts'
import type { ReplayMemory } from '../../lib/protection/replay.ts'
import type { DecryptSettings, Unopened } from '../../lib/services/decrypt-settings.ts'

function settings(on: Unopened, replay: Partial<DecryptSettings['replay']> = {}): DecryptSettings {
  return {
    enabled: true,
    authservIds: [],
    limits: { onLimit: on, bytes: 1, headerBytes: 1, layers: 3, failuresPerMinute: 0 },
    replay: { days: 7, onReplay: on, onStoreFailure: 'defer', ...replay },
    openedTag: '',
    tags: [],
    activeContent: 'text',
  }
}

describe('an encrypted message that is not opened', () => {
  it('C27: is held for a limit or a replay, if the operator says so, and for nothing else', () => {
    const held = (why: NotOpenedReason, on: Unopened): boolean => {
      try {
        holdBack(why, settings(on), (code) => new TempError(code, 'held'))
        return false
      } catch (error) {
        return error instanceof TempError
      }
    }
    assert.equal(held('limit', 'hold'), true)
    assert.equal(held('replay', 'hold'), true)
    for (const why of ['limit', 'replay', 'closed', 'policy'] as const)
      assert.equal(held(why, 'deliver'), false)
    assert.equal(held('closed', 'hold'), false)
    assert.equal(held('policy', 'hold'), false)
  })

  it('C33: is marked for users of ours, and noted for everybody; what our users send out gets no mark', () => {
    for (const relaying of [false, true]) {
      const added: string[] = []
      const transaction = {
        uuid: 'ABC.1',
        notes: {},
        add_leading_header: (name: string, value: string) => added.push(`${name}: ${value}`),
      }
      markNotOpened({ relaying } as Connection, transaction as unknown as Transaction, 'limit')
      assert.deepEqual(added, relaying ? [] : ['Hisho-Not-Decrypted: limit; ref="ABC.1"'])
      assert.deepEqual(transaction.notes, {
        hisho_arrival: { encrypted: true, opened: false, reason: 'limit' },
      })
    }
  })

  it('C9: a note of the queue says whether it was opened, and one that is not ours says nothing', () => {
    const stored = JSON.parse(JSON.stringify(arrivalNote({ encrypted: true, opened: true })))
    assert.equal(wasOpened(stored as Record<string, unknown>), true)
    for (const notes of [{}, { hisho_arrival: true }, { hisho_arrival: { opened: 'yes' } }])
      assert.equal(wasOpened(notes), false)
  })
})

describe('the memory of what came already, for one transaction', () => {
  function check(meet: ReplayMemory['meet'], replay: Partial<DecryptSettings['replay']> = {}) {
    const warnings: string[] = []
    const context = {
      plugin: {} as Plugin,
      services: { replays: { meet } } as unknown as DecryptContext['services'],
      settings: settings('hold', replay),
    }
    const connection = {
      logwarn: (_plugin: unknown, text: string) => warnings.push(text),
    } as unknown as Connection
    const transaction = { mail_from: { address: 'ann@a.example' } } as Transaction
    const fields = parseFields(Buffer.from('Message-ID:\r\n <1@a.example>\r\nSubject: x\r\n'))
    return { warnings, ...replayCheck(context, connection, transaction, fields) }
  }
  const away = async (): Promise<never> => {
    throw new TempError('cache/unreachable', 'away')
  }

  it('C8: is asked with sender, Message-ID and days, and a replay is an alert', async () => {
    const asked: unknown[] = []
    const { isReplay, warnings } = check(async (...what) => {
      asked.push(what)
      return 'replay'
    })
    assert.equal(await isReplay?.('k'), true)
    const envelope = { sender: 'ann@a.example', messageId: '<1@a.example>' }
    assert.deepEqual(asked, [['k', envelope, 7 * 86_400]])
    assert.match(warnings.join(), /^protection\/replay: /)
  })

  it('C8: while it fails, mail waits, or is opened unchecked and that is said, as the operator wants', async () => {
    await assert.rejects(check(away).isReplay?.('k') ?? Promise.resolve(), TempError)
    const { isReplay, warnings } = check(away, { onStoreFailure: 'open' })
    assert.equal(await isReplay?.('k'), false)
    assert.match(warnings.join(), /opened unchecked.*away/)
    const broken = async (): Promise<never> => {
      throw new PermError('vault/malformed', 'a bug')
    }
    await assert.rejects(
      check(broken, { onStoreFailure: 'open' }).isReplay?.('k') ?? Promise.resolve(),
      PermError,
    )
  })

  it('is not asked where nothing is remembered', () => {
    assert.equal(check(away, { days: 0 }).isReplay, undefined)
  })
})
