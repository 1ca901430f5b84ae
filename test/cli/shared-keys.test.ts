// `hisho keys`: between the vaults of two sites, with the sealed file going one way and a mail the other.
import assert from 'node:assert/strict'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { generateX25519Identity } from '../../lib/container/x25519.ts'
import { learnSecrets, openReadySite, type Site } from './site.ts'

interface Row {
  readonly site: string
  readonly id: string
  readonly fingerprint: string
  readonly state: string
  readonly retired: string | null
}

const LETTER = 'From: alice@a.example\r\nTo: bob@b.example\r\nSubject: s\r\n\r\nthe secret\r\n'

describe('hisho keys', () => {
  let a: Site
  let b: Site
  before(async () => {
    a = await openReadySite('a.example')
    b = await openReadySite('b.example')
  })
  after(() => Promise.all([a?.close(), b?.close()]))

  const keys = (site: Site, args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
    site.run(['keys', ...args], { cwd: site.path, env })
  const rows = async (site: Site): Promise<Row[]> =>
    JSON.parse((await keys(site, ['list', '--json'])).text) as Row[]
  const shared = (name: string, ...more: string[]): string[] => ['--shared', name, ...more]

  it('new keeps a key in the vault and prints no secret; export needs to be told how', async () => {
    const made = await keys(a, ['new', ...shared('B.example', '--id', 'k1')])
    assert.equal(made.code, 0, made.stderr)
    assert.match(made.text, /^For the other side: hisho keys export --shared b\.example --id k1/m)
    assert.match(made.stderr, /shared key k1 of b\.example is in the vault: (?:[0-9a-f]{4} ){5}/)
    await learnSecrets(a.file('config/hisho.vault.age'))
    assert.deepEqual(
      (await rows(a)).map(({ site, id, state }) => [site, id, state]),
      [['b.example', 'k1', 'newest']],
    )
    assert.equal((await keys(a, ['export', ...shared('b.example', '--id', 'k1')])).code, 64)
    assert.match((await a.run(['vault', 'list'])).text, /^b\.example +shared-key +k1 /m)
  })

  it('export seals it for an age key, and import brings it into the other vault', async () => {
    const { identity, recipient } = generateX25519Identity()
    const sent = await keys(a, ['export', ...shared('b.example', '--id', 'k1', '--to', recipient)])
    assert.equal(sent.code, 0, sent.stderr)
    const file = a.file('hisho-key-k1.age')
    assert.match(readFileSync(file, 'utf8'), /^-----BEGIN AGE ENCRYPTED FILE-----\n/)
    assert.equal(statSync(file).mode & 0o777, 0o600)
    b.write('key.txt', `# created: today\n${identity}\n`, 0o600)
    const importing = ['import', file, ...shared('a.example', '--identity', b.file('key.txt'))]
    const done = await keys(b, importing)
    assert.equal(done.code, 0, done.stderr)
    const [[atA], [atB]] = [await rows(a), await rows(b)]
    assert.equal(atB?.fingerprint, atA?.fingerprint)
    assert.equal(atB?.site, 'a.example')
    const again = await keys(b, importing)
    assert.equal(again.code, 64)
    assert.match(again.stderr, /has a shared key k1 of a\.example already/)
    // What is there is not written over.
    assert.equal(
      (await keys(a, ['export', ...shared('b.example', '--id', 'k1', '--to', recipient)])).code,
      64,
    )
  })

  it('with it a mail goes from one to the other, with the cipher that the table says', async () => {
    a.write('config/hisho.yaml', 'local: [a.example]\ndomains:\n  c.example: { encrypt: never }\n')
    const set = [
      '--encrypt',
      'required',
      '--schemes',
      'shared-key',
      '--set',
      'suite=camellia-256-cbc-hmac-sha256',
    ]
    assert.equal((await a.run(['domains', 'set', 'b.example', ...set])).code, 0)
    assert.match(
      (await a.run(['domains', 'check', 'b.example'])).text,
      /encrypted \(shared-key k1 \(camellia/,
    )
    assert.match((await a.run(['domains', 'list'])).text, /shared-key suite=camellia/)
    const sealed = await a.run(['encrypt'], { input: LETTER })
    assert.equal(sealed.code, 0, sealed.stderr)
    assert.doesNotMatch(sealed.text, /secret/)
    const inspected = (await a.run(['inspect', '-'], { input: sealed.stdout })).text
    assert.match(
      inspected,
      /camellia[^]*Stanza: hisho\/psk key k1[^]*Stanza: hisho\/to bob@b\.example/,
    )
    const opened = await b.run(['decrypt'], { input: sealed.stdout })
    assert.equal(opened.code, 0, opened.stderr)
    assert.equal(opened.text, LETTER)
    const others = await b.run(['decrypt', '-r', 'eve@b.example'], { input: sealed.stdout })
    assert.equal(others.code, 67)
    assert.match((await a.run(['doctor'])).text, /required: b\.example.*shared-key k1/)
  })

  it('domains set takes keys of schemes away again, and knows no others', async () => {
    const set = (...args: string[]) => a.run(['domains', 'set', 'b.example', ...args])
    assert.equal((await set('--set', 'suite=des-cbc-hmac-sha256')).code, 78)
    assert.equal((await set('--set', 'sweet=x')).code, 64)
    assert.equal((await set('--set', 'suite=', '--set', 'key=k1', '--set', 'legacy=true')).code, 0)
    assert.match(
      a.read('config/hisho.yaml'),
      /schemes:\n +- shared-key\n +key: k1\n +legacy: true\n/,
    )
  })

  it('the doctor looks at weak ciphers, and an accident with the vault is one of all its keys', async () => {
    assert.match(
      (await a.run(['doctor'])).text,
      /shared-key: b\.example +mail of it may be sealed with a weak/,
    )
    const args = ['accident', 'master-key', '--domain', 'a.example', '--notices', a.file('notices')]
    const { code, text, stderr } = await a.run(args)
    assert.equal(code, 0, stderr)
    assert.match(text, /so did shared-key k1 of b\.example: make new ones/)
    await learnSecrets(a.file('config/hisho.vault.age'))
  })

  it('a passphrase seals it too, and a shown one goes in by stdin', async () => {
    const env = { HISHO_KEY_PASSPHRASE: 'told by telephone' }
    const made = await keys(
      a,
      ['new', ...shared('b.example', '--id', 'k2', '--passphrase', '--out', 'k2.age')],
      env,
    )
    assert.equal(made.code, 0, made.stderr)
    await learnSecrets(a.file('config/hisho.vault.age'))
    const wrong = await keys(b, ['import', a.file('k2.age'), ...shared('a.example')], {
      HISHO_KEY_PASSPHRASE: 'another',
    })
    assert.equal(wrong.code, 67)
    assert.equal((await keys(b, ['import', a.file('k2.age'), ...shared('a.example')])).code, 64)
    assert.equal((await keys(b, ['import', a.file('k2.age'), ...shared('a.example')], env)).code, 0)
    const shown = await keys(a, ['new', ...shared('b.example', '--show')])
    assert.match(
      shown.text,
      /^version: 1\nshared_key:\n {2}id: \d{4}-\d\d-\d\d-[0-9a-f]{12}\n {2}key: \S{44}\n/,
    )
    assert.doesNotMatch(shown.stderr, /key: \S{44}/)
    const taken = await b.run(['keys', 'import', '-', ...shared('a.example')], {
      input: shown.stdout,
    })
    assert.equal(taken.code, 0, taken.stderr)
    const states = async (site: Site) =>
      (await rows(site)).map(({ id, state }) => [id.slice(0, 2), state])
    assert.deepEqual(await states(a), [
      ['20', 'newest'],
      ['k2', 'opens'],
      ['k1', 'opens'],
    ])
    assert.deepEqual(await states(b), await states(a))
  })

  it('retire ends it: mail under it waits at its sender’s site, and the vault says so', async () => {
    const sealed = await a.run(['encrypt'], { input: LETTER })
    assert.equal((await keys(b, ['retire', ...shared('a.example', '--id', 'k1')])).code, 64)
    assert.equal(
      (await keys(b, ['retire', ...shared('a.example', '--id', 'k9'), '--yes'])).code,
      64,
    )
    const done = await keys(b, ['retire', ...shared('a.example', '--id', 'k1'), '--yes'])
    assert.equal(done.code, 0, done.stderr)
    assert.equal((await rows(b)).at(-1)?.state, 'retired')
    const opened = await b.run(['decrypt'], { input: sealed.stdout })
    assert.equal(opened.code, 75)
    assert.match(opened.stderr, /protection\/no-key: shared key "k1" is retired/)
    assert.equal(opened.text, '')
  })

  it('what is wrong is said before anything is written', async () => {
    const before = readFileSync(a.file('config/hisho.vault.age'))
    const wrong = [
      ['new', '--id', 'x'],
      ['new', ...shared('b.example', '--id', 'two words')],
      ['new', ...shared('b.example', '--id', 'k1')],
      ['new', ...shared('b.example', '--show', '--passphrase')],
      ['new', ...shared('b.example', '--to', 'age1nonsense')],
      ['new', ...shared('b.example', '--to', 'x', '--out', 'k2.age')],
      ['export', ...shared('b.example', '--id', 'none', '--show')],
    ]
    for (const args of wrong) assert.equal((await keys(a, args)).code, 64, args.join(' '))
    assert.deepEqual(readFileSync(a.file('config/hisho.vault.age')), before)
    assert.equal((await keys(a, ['import', 'none.age', ...shared('b.example')])).code, 66)
    a.write('bad.yaml', 'version: 1\nshared_key: { id: x }\n')
    assert.equal((await keys(a, ['import', 'bad.yaml', ...shared('b.example')])).code, 78)
    assert.equal(existsSync(a.file('hisho-key-x.age')), false)
  })
})
