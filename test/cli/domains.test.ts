import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { openReadySite, type Site } from './site.ts'

const TABLE = `# the table
local: [a.example] # ours
domains:
  # partners
  B.example:
    # first
    encrypt: opportunistic # for now
  '*':
    encrypt: never
`

describe('hisho domains', () => {
  let site: Site
  before(async () => {
    site = await openReadySite('a.example')
  })
  after(() => site.close())

  const domains = (...args: string[]) => site.run(['domains', ...args])
  const table = (): string => site.read('config/hisho.yaml')

  it('set changes one value and no comment', async () => {
    site.write('config/hisho.yaml', TABLE, 0o640)
    const { code } = await domains('set', 'b.example', '--encrypt', 'required')
    assert.equal(code, 0)
    assert.equal(
      table(),
      TABLE.replace('[a.example]', '[ a.example ]').replace(
        'opportunistic # for now',
        'required # for now',
      ),
    )
    await domains('set', '*.C.example', '--schemes', 'ibe', '--on-lookup-failure', 'defer')
    assert.match(
      table(),
      /^ {2}"?\*\.c\.example"?:\n {4}schemes:\n {6}- ibe\n {4}on_lookup_failure: defer\n/m,
    )
    assert.match(table(), /# the table[^]*# ours[^]*# partners[^]*# first[^]*# for now/)
    assert.match(
      (await domains('list')).text,
      /^b\.example +required +ibe,bb2 +defer +reject +reject +none +dnssec,.* accept +mark +close +policy +none$/m,
    )
    const trust = ['--params-trust', 'dnssec, well_known', '--missing-signature', 'reject']
    assert.equal((await domains('set', 'b.example', ...trust)).code, 0)
    assert.match(
      (await domains('list')).text,
      /^b\.example .* dnssec,well_known +reject +mark +close +policy +none$/m,
    )
    assert.equal((await domains('set', 'b.example', '--params-trust', 'hearsay')).code, 64)
  })

  it('remove takes one line out, and says when there is none', async () => {
    assert.equal((await domains('remove', '*.c.example')).code, 0)
    assert.doesNotMatch(table(), /c\.example/)
    assert.equal((await domains('remove', '*.c.example')).code, 64)
  })

  it('refuses an edit that would make a bad table, and the file stays', async () => {
    const before = table()
    const contradiction = await domains('set', 'b.example', '--on-lookup-failure', 'send_plain')
    assert.equal(contradiction.code, 78)
    assert.match(contradiction.stderr, /^hisho: table\/malformed: .*:\d+:\d+: domains\./)
    assert.equal((await domains('set', 'b.example', '--schemes', 'rot13')).code, 78)
    assert.equal((await domains('set', 'b.example', '--encrypt', 'perhaps')).code, 64)
    assert.equal((await domains('set', 'b example', '--encrypt', 'never')).code, 64)
    assert.equal((await domains('set', 'b.example')).code, 64)
    assert.equal(table(), before)
  })

  it('each key of a line can be set, and taken away', async () => {
    const before = table()
    site.write('config/hisho.yaml', `${before}  x.example: { no_such_key: 1 }\n`)
    const [, known = ''] = /no such key \((.*)\)/.exec((await domains('check')).stderr) ?? []
    site.write('config/hisho.yaml', before)
    const help = (await domains('set', '--help')).text
    const keys = [...new Set(known.split(', '))]
    assert.ok(keys.length > 15, known)
    for (const key of keys) {
      const option = `--${key.replaceAll('_', '-')} <`
      const isOfScheme = (await domains('set', 'x.example', '--set', `${key}=`)).code !== 64
      assert.ok(help.includes(option) || isOfScheme || key === 'scheme', key)
      assert.notEqual((await domains('set', 'x.example', '--unset', key)).code, 64, key)
    }
    site.write('config/hisho.yaml', before)
    const line = ['old.example', '--unproven', 'open', '--set', 'key_sources=operator']
    assert.equal((await domains('set', ...line, '--encrypt', 'never')).code, 0)
    assert.match(
      (await domains('list')).text,
      /^old\.example +never .*key_sources=operator.* open /m,
    )
    assert.equal((await domains('set', 'old.example', '--unset', 'unproven, encrypt')).code, 0)
    assert.match(table(), /^ {2}"?old\.example"?:\n {4}key_sources: operator\n/m)
    assert.equal((await domains('set', 'old.example', '--unset', 'encryption')).code, 64)
    assert.equal((await domains('set', 'old.example', '--unproven', 'perhaps')).code, 64)
    assert.equal((await domains('remove', 'old.example')).code, 0)
  })

  it('check without an argument judges the table', async () => {
    const good = await domains('check', '--json')
    assert.deepEqual([good.code, (JSON.parse(good.text) as { status: string }).status], [0, 'good'])
    const before = table()
    site.write('config/hisho.yaml', `${before}\nsurprise: 1\n`)
    const bad = await domains('check')
    assert.equal(bad.code, 78)
    assert.match(bad.stderr, /hisho\.yaml:\d+:\d+: surprise/)
    assert.equal((await domains('set', 'x.example', '--encrypt', 'never')).code, 78)
    site.write('config/hisho.yaml', before)
  })

  it('check with an address says what mail to it would get now', async () => {
    const { zone } = site.dns
    zone['_ibemailkey.keys.example'] = { TXT: zone['_ibemailkey.a.example']!.TXT! }
    zone['_ibemailkey.silent.example'] = { misbehave: 'servfail' }
    await domains('set', '*', '--encrypt', 'opportunistic')
    const fates = await Promise.all(
      ['x@a.example', 'x@keys.example', 'none.example', 'x@b.example', 'x@silent.example'].map(
        async (target) => {
          const { code, text } = await domains('check', target, '--json')
          const { outcome, rule } = JSON.parse(text) as { outcome: string; rule: string }
          return [target, code, outcome, rule]
        },
      ),
    )
    assert.deepEqual(fates, [
      ['x@a.example', 0, 'clear', 'local'],
      ['x@keys.example', 0, 'encrypted', '*'],
      ['none.example', 0, 'clear', '*'],
      ['x@b.example', 69, 'refused', 'b.example'],
      ['x@silent.example', 75, 'deferred', '*'],
    ])
    assert.equal((await domains('check', 'a@b@c d')).code, 64)
  })

  it('lines of one address, and what becomes of mail without a key', async () => {
    const set = (...words: string[]) => domains('set', ...words)
    const line = ['Carol@KEYS.example', '--encrypt', 'required', '--on-no-key', 'hold']
    assert.equal((await set(...line, '--exempt', 'dsn,tlsrpt', '--schemes', 'age')).code, 0)
    const { text } = await domains('list')
    assert.match(text, /^carol@keys\.example +required +age +defer +hold +reject +dsn,tlsrpt +/m)
    const carol = await domains('check', 'carol@keys.example')
    assert.equal(carol.code, 75)
    assert.match(carol.text, /^carol@keys\.example: held \(.*; line carol@keys\.example\)/)
    assert.equal((await domains('check', 'dave@keys.example')).code, 0)
    assert.equal((await set('carol@keys.example', '--on-no-key', 'send_plain')).code, 78)
    assert.equal((await set('carol@keys.example', '--exempt', '')).code, 0)
    assert.equal((await set('carol@keys.example', '--exempt', 'spam')).code, 64)
    assert.equal((await set('*@keys.example', '--encrypt', 'never')).code, 64)
    assert.equal((await set('a@@b', '--encrypt', 'never')).code, 64)
    assert.equal((await domains('remove', 'carol@keys.example')).code, 0)
  })
})
