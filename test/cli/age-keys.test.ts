// `hisho keys new --age`: an identity in one vault, its recipient in the table of another.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { learnSecrets, openReadySite, type Site } from './site.ts'

const LETTER = 'From: alice@a.example\r\nTo: bob@b.example\r\nSubject: s\r\n\r\nthe secret\r\n'

interface Row {
  readonly id: string
  readonly scheme: string
  readonly recipient: string
  readonly state: string
}

describe('hisho keys, for age', () => {
  let a: Site
  let b: Site
  before(async () => {
    a = await openReadySite('a.example')
    b = await openReadySite('b.example')
  })
  after(() => Promise.all([a?.close(), b?.close()]))

  const rows = async (): Promise<Row[]> =>
    JSON.parse((await b.run(['keys', 'list', '--json', '--site', 'b.example'])).text) as Row[]

  for (const [kind, flags] of [
    ['age1', []],
    ['age1pq1', ['--pq']],
  ] as const) {
    it(`new prints the recipient alone, and mail for it opens: ${kind}`, async () => {
      const made = await b.run(['keys', 'new', '--age', 'b.example', '--id', kind, ...flags])
      assert.equal(made.code, 0, made.stderr)
      const recipient = made.text.trim()
      assert.match(recipient, new RegExp(`^${kind}[a-z0-9]+$`))
      await learnSecrets(b.file('config/hisho.vault.age'))
      const row = (await rows()).find(({ id }) => id === kind)
      assert.deepEqual([row?.scheme, row?.recipient], ['age', recipient])
      const set = ['--encrypt', 'required', '--schemes', 'age', '--set', `age=${recipient}`]
      assert.equal((await a.run(['domains', 'set', 'b.example', ...set])).code, 0)
      const sealed = await a.run(['encrypt'], { input: LETTER })
      assert.equal(sealed.code, 0, sealed.stderr)
      assert.match(
        (await a.run(['inspect', '-'], { input: sealed.stdout })).text,
        /hisho\/to bob@b\.example/,
      )
      const opened = await b.run(['decrypt', '--deliver'], { input: sealed.stdout })
      assert.match(opened.text, new RegExp(`Hisho-Decrypted: age; key="${kind}"; kem=`))
      assert.ok(opened.text.endsWith(LETTER))
    })
  }

  it('a shared key travels to an age1pq1 recipient too', async () => {
    const recipient = (await rows()).find(({ id }) => id === 'age1pq1')?.recipient ?? ''
    const made = await a.run(
      ['keys', 'new', '--shared', 'b.example', '--to', recipient, '--id', 'k'],
      {
        cwd: a.path,
      },
    )
    assert.equal(made.code, 0, made.stderr)
    assert.match(a.read('hisho-key-k.age'), /^-----BEGIN AGE ENCRYPTED FILE-----/)
  })

  it('retire ends it, and what is wrong is a usage error', async () => {
    const retire = ['keys', 'retire', '--age', 'b.example', '--id', 'age1']
    assert.equal((await b.run(retire)).code, 64)
    assert.equal((await b.run([...retire, '--yes'])).code, 0)
    assert.deepEqual(
      (await rows()).map(({ id, state }) => [id, state]),
      [
        ['age1pq1', 'newest'],
        ['age1', 'retired'],
      ],
    )
    for (const args of [
      ['new'],
      ['new', '--age', 'b.example', '--shared', 'c.example'],
      ['new', '--age', 'b.example', '--show'],
      ['new', '--shared', 'c.example', '--pq'],
      ['new', '--age', 'b.example', '--id', 'age1'],
      ['retire', '--id', 'age1', '--yes'],
      ['retire', '--age', 'b.example', '--id', 'none', '--yes'],
    ])
      assert.equal((await b.run(['keys', ...args])).code, 64, args.join(' '))
  })
})
