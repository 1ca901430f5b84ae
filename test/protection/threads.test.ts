import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { createFileCache } from '../../lib/cache/file.ts'
import { parseFields } from '../../lib/mail/header.ts'
import { answeredIds, createThreads, reportedIds } from '../../lib/protection/threads.ts'

const fieldsOf = (text: string) => parseFields(Buffer.from(text.replaceAll('\n', '\r\n')))

describe('what came encrypted', () => {
  const directory = mkdtempSync(join(tmpdir(), 'hisho-threads-'))
  after(() => rmSync(directory, { recursive: true, force: true }))
  let nowMs = 1_795_000_000_000
  const clock = { nowMs: () => nowMs }
  const store = createFileCache({ directory, clock })
  const warnings: string[] = []
  const threads = (days: number) =>
    createThreads({ store, days, log: (_level, text) => void warnings.push(text) })

  it('C20: is remembered for some days, by a hash', async () => {
    const memory = threads(2)
    await memory.remember(fieldsOf('Message-ID: <secret-id@b.example>\nSubject: x\n'))
    assert.equal(await memory.wasEncrypted(['<other@b.example>', '<secret-id@b.example>']), true)
    assert.equal(await memory.wasEncrypted(['<other@b.example>']), false)
    for (const name of readdirSync(directory))
      assert.doesNotMatch(readFileSync(join(directory, name), 'utf8'), /secret-id/)
    assert.equal(await threads(0).wasEncrypted(['<secret-id@b.example>']), false)
    nowMs += 2 * 86_400_000
    assert.equal(await memory.wasEncrypted(['<secret-id@b.example>']), false)
  })

  it('C20: what comes once more is remembered anew, also where a process died as it wrote', async () => {
    const folder = join(directory, 'fleeting')
    const fleeting = createFileCache({ directory: folder, clock, lasting: false })
    const memory = createThreads({ store: fleeting, days: 2, log: () => {} })
    const message = fieldsOf('Message-ID: <again@b.example>\n')
    await memory.remember(message)
    nowMs += 86_400_000
    await memory.remember(message)
    nowMs += 1.5 * 86_400_000
    assert.equal(await memory.wasEncrypted(['<again@b.example>']), true)
    const [name = ''] = readdirSync(folder)
    writeFileSync(join(folder, name), '')
    assert.equal(await memory.wasEncrypted(['<again@b.example>']), false)
    await memory.remember(message)
    assert.equal(await memory.wasEncrypted(['<again@b.example>']), true)
  })

  it('is not remembered without an id, and a store that fails is no reason not to deliver', async () => {
    await threads(2).remember(fieldsOf('Subject: x\n'))
    const broken = createFileCache({ directory: '/dev/null/x', clock })
    const log = (_level: string, text: string) => void warnings.push(text)
    const memory = createThreads({ store: broken, days: 2, log })
    await memory.remember(fieldsOf('Message-ID: <a@b.example>\n'))
    assert.match(warnings.join('\n'), /may go in clear/)
    await assert.rejects(memory.wasEncrypted(['<a@b.example>']), { code: 'cache/unreachable' })
  })

  it('C20: is named by References and In-Reply-To, folded and all, and by reports', () => {
    const answer = fieldsOf('References: <1@x>\n <2@x>\nIn-Reply-To: (a) <3@x> and more\n')
    assert.deepEqual(answeredIds(answer), ['<1@x>', '<2@x>', '<3@x>'])
    const report = 'x\r\nOriginal-Message-ID: <4@x>\r\n\r\nMessage-Id:\r\n <5@x>\r\n'
    assert.deepEqual(reportedIds(Buffer.from(report)), ['<4@x>', '<5@x>'])
  })
})
