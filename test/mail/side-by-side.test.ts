import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { sideBySide } from '../../lib/mail/side-by-side.ts'

describe('what is asked for each of many recipients', () => {
  const names = Array.from({ length: 30 }, (_, at) => `user${at}@b.example`)

  it('is answered in their order, and asked for eight at a time', async () => {
    let running = 0
    let most = 0
    const answers = await sideBySide(names, async (name) => {
      most = Math.max(most, ++running)
      for (let turns = name.length + (Number(name[4]) % 3); turns > 0; turns--) await turn()
      running--
      return name.toUpperCase()
    })
    assert.deepEqual(
      answers,
      names.map((name) => name.toUpperCase()),
    )
    assert.equal(most, 8)
    assert.deepEqual(await sideBySide([], async (name) => name), [])
  })

  it('fails with the first failure, and asks for no more', async () => {
    const asked: string[] = []
    await assert.rejects(
      sideBySide(names, async (name) => {
        asked.push(name)
        await turn()
        throw new Error(`no ${name}`)
      }),
      /no user0@/,
    )
    await turn()
    assert.equal(asked.length, 8)
  })
})
