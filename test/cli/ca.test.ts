// `hisho ca` and `hisho keys ... --smime`, with openssl on the other side.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { learnSecrets, openSite, type Site } from './site.ts'

interface Issued {
  readonly id: string
  readonly user: string
  readonly reason?: string
}

interface Row {
  readonly scheme: string
  readonly id: string
  readonly user: string
  readonly state: string
  readonly expires?: string
}

describe('hisho ca', () => {
  let site: Site
  before(async () => {
    site = await openSite()
    await site.run(['init', '--domain', 'a.example'])
  })
  after(() => site?.close())

  const good = async (...args: readonly string[]): Promise<string> => {
    const { code, text, stderr } = await site.run(args, { cwd: site.path })
    assert.equal(code, 0, stderr)
    await learnSecrets(site.file('config/hisho.vault.age'))
    return text
  }
  const openssl = (...args: readonly string[]): string =>
    execFileSync('openssl', args, { cwd: site.path, stdio: 'pipe' }).toString()
  const issued = async (): Promise<Issued[]> =>
    JSON.parse(await good('ca', 'list', '--json')) as Issued[]
  const rows = async (): Promise<Row[]> => {
    const all = JSON.parse(await good('keys', 'list', '--json', '--site', 'a.example')) as Row[]
    return all.filter(({ scheme }) => scheme === 'smime')
  }

  it('makes a root, certificates for the domain and a user, a list, and a file for the user', async () => {
    const root = await good(
      'ca',
      'init',
      '--domain',
      'a.example',
      '--crl-url',
      'http://a.example/c',
    )
    assert.equal(await good('ca', 'export'), root)
    site.write('root.pem', root)
    site.write('domain.pem', await good('ca', 'issue', '--domain', 'a.example'))
    const user = ['ca', 'issue', '--domain', 'a.example', '--user', 'Alice', '--key', 'rsa3072']
    site.write('alice.pem', await good(...user))
    for (const name of ['domain', 'alice'])
      openssl('verify', '-purpose', 'smimesign', '-CAfile', 'root.pem', `${name}.pem`)
    assert.deepEqual(
      (await issued()).map((one) => one.user),
      ['*', 'alice'],
    )
    const id = (await issued())[1]!.id
    const p12 = await good('ca', 'p12', id.slice(0, 12), '--out', 'alice.p12')
    const read = openssl('pkcs12', '-in', 'alice.p12', '-nokeys', '-passin', `pass:${p12.trim()}`)
    assert.ok(read.includes(site.read('alice.pem')))

    await good('ca', 'crl', '--out', 'before.crl')
    assert.match(await good('ca', 'revoke', id, '--reason', 'keyCompromise'), /is revoked/)
    site.write('after.pem', await good('ca', 'crl'))
    const check = ['verify', '-crl_check', '-CAfile', 'root.pem', '-CRLfile']
    openssl(...check, 'before.crl', 'alice.pem')
    openssl(...check, 'after.pem', 'domain.pem')
    assert.throws(() => openssl(...check, 'after.pem', 'alice.pem'), /certificate revoked/)
    assert.match(await good('ca', 'list'), /revoked .*keyCompromise/)
    assert.equal((await rows()).find((row) => row.user === 'alice')?.state, 'revoked')
    assert.equal((await site.run(['ca', 'revoke', id])).code, 64)
  })

  it('renews, and signs with the newest', async () => {
    await good('keys', 'renew', '--smime', 'a.example')
    const states = (await rows()).filter(({ user }) => user === '*').map(({ state }) => state)
    assert.deepEqual(states.toSorted(), ['newest', 'superseded'])
    const text = await good('keys', 'export', '--smime', 'a.example')
    assert.equal(text.match(/BEGIN CERTIFICATE/g)?.length, 1)
    assert.ok(!text.includes(site.read('domain.pem')))
  })

  it('signs a request for a key of somebody else, by the names of the command', async () => {
    const files = ['-keyout', 'dan.key', '-out', 'dan.csr', '-nodes', '-subj', '/CN=eve@b.example']
    openssl('req', '-new', '-newkey', 'rsa:2048', ...files)
    const names = ['--domain', 'a.example', '--user', 'Dan', '--days', '30']
    site.write('dan.pem', await good('ca', 'sign', 'dan.csr', ...names))
    openssl('verify', '-purpose', 'smimesign', '-CAfile', 'root.pem', 'dan.pem')
    assert.equal(openssl('x509', '-in', 'dan.pem', '-noout', '-email').trim(), 'dan@a.example')
    const dan = (await issued()).find(({ user }) => user === 'dan')
    assert.ok(dan)
    // The vault has no key of it, and the list has it all the same.
    assert.equal(
      (await rows()).find(({ user }) => user === 'dan'),
      undefined,
    )
    assert.equal((await site.run(['ca', 'p12', dan.id, '--out', 'dan.p12'])).code, 64)
    await good('ca', 'revoke', dan.id)
    site.write('dan.crl', await good('ca', 'crl'))
    const check = ['verify', '-crl_check', '-CAfile', 'root.pem', '-CRLfile', 'dan.crl', 'dan.pem']
    assert.throws(() => openssl(...check), /certificate revoked/)
    site.write('broken.csr', site.read('dan.csr').replace(/.(?=\n-----END)/, '!'))
    for (const [file, domain, code] of [
      ['dan.csr', 'b.example', 64],
      ['broken.csr', 'a.example', 65],
      ['root.pem', 'a.example', 65],
    ] as const) {
      const { code: found } = await site.run(['ca', 'sign', file, '--domain', domain], {
        cwd: site.path,
      })
      assert.equal(found, code, file)
    }
  })

  it('is for its own domains, and says what is wrong', async () => {
    for (const args of [
      ['ca', 'issue', '--domain', 'b.example'],
      ['ca', 'revoke', 'ffffff'],
      ['keys', 'new', '--smime', 'a.example'],
      ['keys', 'export', '--smime', 'a.example', '--user', 'nobody'],
    ])
      assert.equal((await site.run(args, { cwd: site.path })).code, 64, args.join(' '))
  })

  it('leaves certificates to another CA too: a request goes out, a certificate comes in', async () => {
    const alice = ['--smime', 'a.example', '--user', 'carol']
    site.write('carol.csr', await good('keys', 'new', ...alice, '--csr'))
    assert.match(
      openssl('req', '-in', 'carol.csr', '-noout', '-verify', '-text'),
      /carol@a\.example/,
    )
    assert.equal((await rows()).find(({ user }) => user === 'carol')?.expires, undefined)
    openssl(
      'req',
      '-x509',
      '-newkey',
      'ed25519',
      '-nodes',
      '-keyout',
      'ca.key',
      '-out',
      'ca.pem',
      '-subj',
      '/CN=other',
    )
    const sign = ['x509', '-req', '-in', 'carol.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key']
    openssl(...sign, '-copy_extensions', 'copyall', '-out', 'carol.pem')
    site.write('chain.pem', site.read('carol.pem') + site.read('ca.pem'))
    assert.match(await good('keys', 'import', 'chain.pem', ...alice), /is in the vault/)
    const found = (await rows()).filter(({ user }) => user === 'carol')
    assert.deepEqual(
      found.map(({ state }) => state),
      ['newest'],
    )
    const text = await good('keys', 'export', ...alice)
    assert.equal(text, site.read('carol.pem'))
    const id = found[0]!.id.slice(0, 16)
    await good('keys', 'retire', '--smime', 'a.example', '--id', id, '--yes')
    assert.equal((await rows()).find(({ user }) => user === 'carol')?.state, 'retired')
  })

  it('takes keys that others have made: PKCS #12, and PEM', async () => {
    openssl(
      'req',
      '-x509',
      '-newkey',
      'rsa:3072',
      '-nodes',
      '-keyout',
      'd.key',
      '-out',
      'd.pem',
      '-subj',
      '/CN=d',
      '-addext',
      'subjectAltName=email:dave@a.example',
    )
    openssl(
      'pkcs12',
      '-export',
      '-in',
      'd.pem',
      '-inkey',
      'd.key',
      '-out',
      'd.p12',
      '-passout',
      'pass:dave',
    )
    const import_ = ['keys', 'import', 'd.p12', '--smime', 'a.example', '--user', 'dave']
    assert.equal((await site.run(import_, { cwd: site.path })).code, 64)
    const passphrase = { HISHO_KEY_PASSPHRASE: 'dave' }
    const taken = await site.run(import_, { cwd: site.path, env: passphrase })
    assert.equal(taken.code, 0, taken.stderr)
    const again = await site.run(import_, { cwd: site.path, env: passphrase })
    assert.equal(again.code, 64)
    openssl(
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      'e.key',
      '-out',
      'e.pem',
      '-subj',
      '/CN=e',
    )
    writeFileSync(site.file('e.both'), site.read('e.key') + site.read('e.pem'))
    await good('keys', 'import', 'e.both', '--smime', 'a.example', '--user', 'erin')
    assert.equal(
      (await site.run(['keys', 'import', 'e.pem', '--smime', 'a.example'], { cwd: site.path }))
        .code,
      64,
    )
    assert.deepEqual(
      (await rows())
        .filter(({ user }) => user === 'dave' || user === 'erin')
        .map(({ state }) => state),
      ['newest', 'newest'],
    )
  })
})
