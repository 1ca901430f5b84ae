// `hisho keys ... --openpgp`: made, given away, renewed, revoked, and brought in from gpg.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { peer } from '../support/peers.ts'
import { openReadySite, type Site } from './site.ts'

const LETTER =
  'From: alice@a.example\r\nTo: bob@b.example\r\nSubject: s\r\nMessage-ID: <1@a.example>\r\n\r\nthe secret\r\n'
const ARMOR = /^-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n[^-]+-----END PGP PUBLIC KEY BLOCK-----\n$/

interface Row {
  readonly scheme: string
  readonly id: string
  readonly user: string
  readonly state: string
  readonly expires?: string
}

describe('hisho keys, for OpenPGP', () => {
  let a: Site
  let b: Site
  before(async () => {
    a = await openReadySite('a.example')
    b = await openReadySite('b.example')
  })
  after(() => Promise.all([a?.close(), b?.close()]))

  const rows = async (): Promise<Row[]> => {
    const all = JSON.parse((await b.run(['keys', 'list', '--json'])).text) as Row[]
    return all.filter(({ scheme }) => scheme === 'openpgp')
  }

  it('new prints what is public, and mail sealed for it opens', async () => {
    const made = await b.run(['keys', 'new', '--openpgp', 'b.example'])
    assert.equal(made.code, 0, made.stderr)
    assert.match(made.text, ARMOR)
    const [row] = await rows()
    assert.deepEqual([row?.user, row?.state], ['*', 'newest'])
    const days = (Date.parse(row?.expires ?? '') - Date.now()) / 86_400_000
    assert.ok(days > 728 && days < 731, row?.expires)
    a.write('config/hisho.keys/openpgp/b.example.asc', made.text)
    const rule = ['--encrypt', 'required', '--schemes', 'openpgp']
    assert.equal((await a.run(['domains', 'set', 'b.example', ...rule])).code, 0)
    const sealed = await a.run(['encrypt'], { input: LETTER })
    assert.equal(sealed.code, 0, sealed.stderr)
    const opened = await b.run(['decrypt'], { input: sealed.stdout })
    assert.equal(opened.text, LETTER, opened.stderr)
    const again = await b.run(['keys', 'export', '--openpgp', 'b.example'])
    assert.equal(again.text, made.text)
  })

  it('check warns of what ends within a month; renew gives the same key another end', async () => {
    assert.equal((await b.run(['keys', 'check'])).code, 0)
    const user = ['--openpgp', 'b.example', '--user', 'Bob']
    const made = await b.run(['keys', 'new', ...user, '--expires', '10d'])
    assert.equal(made.code, 0, made.stderr)
    const checked = await b.run(['keys', 'check'])
    assert.equal(checked.code, 1)
    const [, id] =
      /hisho keys renew --openpgp b\.example --user bob --id (\w+)/.exec(checked.stderr) ?? []
    assert.ok(id)
    const renewed = await b.run(['keys', 'renew', ...user, '--expires', 'never'])
    assert.equal(renewed.code, 0, renewed.stderr)
    assert.match(renewed.text, ARMOR)
    assert.equal((await b.run(['keys', 'check'])).code, 0)
    assert.equal((await rows()).find((row) => row.id === id)?.expires, undefined)
  })

  it('revoke says so to the others, and it still opens; retire ends it', async () => {
    const user = ['--openpgp', 'b.example', '--user', 'bob']
    assert.equal((await b.run(['keys', 'revoke', ...user])).code, 64)
    const revoked = await b.run(['keys', 'revoke', ...user, '--yes'])
    assert.match(revoked.text, ARMOR)
    const row = (await rows()).find((one) => one.user === 'bob')
    assert.equal(row?.state, 'revoked')
    a.write('config/hisho.keys/openpgp/bob@b.example.asc', revoked.text)
    const refused = await a.run(['encrypt'], { input: LETTER })
    assert.notEqual(refused.code, 0)
    assert.equal(refused.text, '')
    const retired = await b.run(['keys', 'retire', ...user, '--id', row?.id ?? '', '--yes'])
    assert.equal(retired.code, 0, retired.stderr)
    assert.equal((await rows()).find((one) => one.user === 'bob')?.state, 'retired')
  })

  it('the secret half goes out only when it is asked for by name', async () => {
    const shown = await b.run(['keys', 'export', '--openpgp', 'b.example', '--secret'])
    assert.match(shown.text, /^-----BEGIN PGP PRIVATE KEY BLOCK-----/)
    b.write('secret.asc', shown.text)
    const wrong = await b.run(['keys', 'import', '--openpgp', 'b.example', b.file('secret.asc')])
    assert.equal(wrong.code, 64, 'it is there already')
    const there = await a.run(['keys', 'import', '--openpgp', 'a.example', b.file('secret.asc')])
    assert.equal(there.code, 0, there.stderr)
    for (const args of [
      ['new', '--openpgp', 'b.example', '--type', 'dsa'],
      ['new', '--openpgp', 'b.example', '--expires', 'soon'],
      ['new', '--openpgp', 'b.example', '--show'],
      ['new', '--age', 'b.example', '--user', 'bob'],
      ['export', '--openpgp', 'b.example', '--user', 'nobody'],
      ['retire', '--openpgp', 'b.example', '--id', 'none', '--yes'],
      ['renew', '--openpgp', 'b.example', '--id', 'none'],
    ])
      assert.equal((await b.run(['keys', ...args])).code, 64, args.join(' '))
    assert.equal(
      (await b.run(['keys', 'import', '--openpgp', 'b.example', '-'], { input: 'x' })).code,
      65,
    )
  })

  it(
    'import takes what gpg has exported, with its passphrase',
    { skip: peer('gpg', 'gnupg') },
    async () => {
      const home = mkdtempSync(join(tmpdir(), 'hisho-gpg-'))
      const gpg = (...args: string[]): Buffer =>
        execFileSync(
          'gpg',
          ['--batch', '--pinentry-mode', 'loopback', '--passphrase', 'hush', ...args],
          {
            env: { ...process.env, GNUPGHOME: home },
            stdio: ['ignore', 'pipe', 'pipe'],
          },
        )
      try {
        gpg('--quick-generate-key', 'Carol <carol@b.example>', 'default', 'default', '1y')
        const exported = gpg('--armor', '--export-secret-keys').toString()
        const take = ['keys', 'import', '--openpgp', 'b.example', '--user', 'carol', '-']
        const env = (HISHO_KEY_PASSPHRASE: string) => ({
          input: exported,
          env: { HISHO_KEY_PASSPHRASE },
        })
        assert.equal((await b.run(take, env('wrong'))).code, 65)
        const taken = await b.run(take, env('hush'))
        assert.equal(taken.code, 0, taken.stderr)
        const fingerprint = /^fpr:+(\w+):/m.exec(
          gpg('--with-colons', '--list-keys').toString(),
        )?.[1]
        const row = (await rows()).find(({ user }) => user === 'carol')
        assert.equal(row?.id, fingerprint?.toLowerCase())
        // What we give out is what it knows.
        const back = await b.run(['keys', 'export', '--openpgp', 'b.example', '--user', 'carol'])
        execFileSync('gpg', ['--batch', '--import'], {
          input: back.text,
          env: { ...process.env, GNUPGHOME: home },
          stdio: 'pipe',
        })
      } finally {
        execFileSync('gpgconf', ['--kill', 'gpg-agent'], {
          env: { ...process.env, GNUPGHOME: home },
        })
        rmSync(home, { recursive: true, force: true })
      }
    },
  )
})
