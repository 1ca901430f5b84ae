import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Notes } from '../../lib/haraka/api.ts'
import { copyNotes, covers, markOf, setMark } from '../../lib/haraka/mark.ts'

const MARK = { protected: true, reason: 'ibe-bf n=1', recipients: ['x@b.example'] }

describe('our note on a message', () => {
  it('is read back, from a queue file too', () => {
    const notes: Record<string, unknown> = {}
    setMark(notes, MARK)
    assert.deepEqual(markOf(notes), MARK)
    assert.deepEqual(markOf(JSON.parse(JSON.stringify(notes)) as Record<string, unknown>), MARK)
  })

  for (const note of [
    undefined,
    null,
    true,
    'hisho',
    {},
    { protected: true },
    { protected: 'yes', recipients: [] },
    { recipients: [] },
  ]) {
    it(`is none: ${JSON.stringify(note)}`, () => {
      assert.equal(markOf({ hisho: note }), undefined)
      assert.equal(covers(markOf({ hisho: note }), 'x@b.example'), false)
    })
  }

  it('covers those it was made for, and nobody added later', () => {
    assert.equal(covers(MARK, 'x@b.example'), true)
    assert.equal(covers(MARK, 'y@b.example'), false)
    assert.equal(covers(MARK, 'x@b.example.org'), false)
  })
})

describe('the notes of a copy', () => {
  it('are those of the message, less signature and mark, with its own', () => {
    const from = {
      skip_plugins: ['hisho/encrypt'],
      dkim_signed: true,
      hisho: MARK,
      auth_user: 'u',
      get: () => 1,
      set: () => {},
    } as unknown as Notes
    const skip: string[] = []
    const to = { skip_plugins: skip } as unknown as Notes
    copyNotes(from, to, { using_lmtp: true })
    assert.deepEqual({ ...to }, { skip_plugins: [], auth_user: 'u', using_lmtp: true })
    assert.equal(to.skip_plugins, skip)
  })
})
