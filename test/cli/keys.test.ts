import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { generateX25519Identity } from '../../lib/container/x25519.ts'
import { parseContents } from '../../lib/vault/contents.ts'
import { peer } from '../support/peers.ts'
import { AGE_KEY, openReadySite, publish, type Site } from './site.ts'

interface Generation {
  readonly scheme: string
  readonly n: number
  readonly period: string
  readonly retired: string | null
  readonly record: string
  readonly fingerprint: string
}

async function generations(site: Site): Promise<Generation[]> {
  const { text } = await site.run(['kgc', 'list', '--json'])
  return JSON.parse(text) as Generation[]
}

describe('hisho kgc', () => {
  let site: Site
  before(async () => {
    site = await openReadySite('a.example')
  })
  after(() => site.close())

  it('makes the next generation of a scheme and says what to publish', async () => {
    const [first] = await generations(site)
    const { code, text } = await site.run(['kgc', 'new', '--domain', 'A.example.'])
    assert.equal(code, 0)
    const [kept, , fresh] = await generations(site)
    assert.deepEqual(kept, first)
    assert.deepEqual([fresh?.scheme, fresh?.n, fresh?.period], ['bf', 2, 'month'])
    assert.ok(text.includes(`"${fresh!.record}; s=1:`), 'signed by the older one')
    assert.match(text, /Publish now, beside what is there/)
    assert.equal(statSync(site.file('config/hisho.vault.age')).mode & 0o777, 0o600)
  })

  it('refuses to retire what may still be needed, unless it is forced', async () => {
    const retire = (...more: string[]) =>
      site.run(['kgc', 'retire', '--domain', 'a.example', ...more])
    const newest = await retire('--n', '2', '--yes')
    assert.equal(newest.code, 64)
    assert.match(newest.stderr, /newest/)
    assert.match((await retire('--n', '1', '--yes')).stderr, /still in DNS/)
    assert.equal((await retire('--n', '7', '--yes')).code, 64)
    assert.match((await retire('--yes')).text, /nothing of a\.example is to be retired/)
    site.dns.zone['_ibemailkey.a.example'] = { TXT: [] }
    assert.match((await retire('--n', '1', '--yes')).stderr, /not withdrawn/)
    assert.match((await retire('--n', '1', '--force')).stderr, /say --yes/)
    assert.ok((await generations(site)).every(({ retired }) => retired === null))

    const done = await retire('--n', '1', '--yes', '--force')
    assert.equal(done.code, 0)
    assert.match(done.text, /Remove from DNS[^]* n=1;/)
    const [first, , second] = await generations(site)
    assert.ok(Date.parse(first!.retired!) > 0)
    assert.equal(second!.retired, null)
    assert.match((await retire('--n', '1', '--yes')).text, /retired on .* already/)
    assert.equal((await retire('--n', '2', '--yes', '--force')).code, 0)
  })

  it('lists each with a fingerprint, which anybody with the record can compute', async () => {
    const { text } = await site.run(['kgc', 'list'])
    for (const { record, fingerprint } of await generations(site)) {
      const hex = createHash('sha256').update(record).digest('hex')
      assert.match(fingerprint, /^(?:[0-9a-f]{4} ){5}[0-9a-f]{4}$/)
      assert.ok(hex.startsWith(fingerprint.replaceAll(' ', '')))
      assert.ok(text.includes(`  ${fingerprint}  `), text)
    }
  })

  it('counts on after retired ones, each scheme for itself', async () => {
    await site.run(['kgc', 'new', '--domain', 'a.example', '--period', 'none'])
    const bb2 = await site.run(['kgc', 'new', '--domain', 'a.example', '--scheme', 'bb2'])
    assert.match(bb2.text, /"ver=1\.0; a=bb2; c=bn256; n=1; g=1 [^]*" "/)
    const all = (await generations(site)).map(({ scheme, n, period }) => [scheme, n, period])
    assert.deepEqual(all.slice(-2), [
      ['bf', 3, 'none'],
      ['bb2', 1, 'none'],
    ])
    const { text } = await site.run(['kgc', 'list', '--domain', 'other.example'])
    assert.equal(text.trim(), 'DOMAIN  SCHEME  N  PERIOD  CREATED  FINGERPRINT  STATE')
  })

  it('says what is wrong with its arguments', async () => {
    const wrong = [
      ['kgc', 'new'],
      ['kgc', 'new', '--domain', 'a.example', '--period', 'year'],
      ['kgc', 'new', '--domain', 'a.example', '--scheme', 'rsa'],
      ['kgc', 'rotate', '--domain', 'none.example'],
      ['kgc', 'retire', '--domain', 'a.example', '--n', '0'],
      ['accident', 'identity-key', 'nobody'],
      ['accident', 'master-key', '--domain', 'none.example'],
      ['accident', 'password', 'alice@a.example', '--since', 'yesterday'],
    ]
    const codes = await Promise.all(wrong.map(async (args) => (await site.run(args)).code))
    assert.deepEqual(
      codes,
      Array.from(wrong, () => 64),
    )
  })
})

describe('hisho params', () => {
  let site: Site
  before(async () => {
    site = await openReadySite('a.example')
  })
  after(() => site.close())

  const check = async (domain: string): Promise<{ code: number | null; status: string }> => {
    const { code, text } = await site.run(['params', 'check', domain, '--json'])
    const { status } = text === '' ? { status: '' } : (JSON.parse(text) as { status: string })
    return { code, status }
  }

  it('shows what is published, and for a domain of ours what the vault says', async () => {
    site.dns.zone['_ibemailkey.c.example'] = { TXT: ['v=spf1 -all', 'ver=2.0; a=bf'] }
    const own = await site.run(['params', 'show', 'a.example'])
    assert.match(own.text, /bf n=1, period month[^]*The vault says:[^]*_ibemailkey\.a\.example\. /)
    const other = await site.run(['params', 'show', 'c.example'])
    assert.match(other.text, /^not ours .*spf1[^]*^broken .*c is missing/m)
    assert.doesNotMatch(other.text, /vault/)
    assert.match((await site.run(['params', 'show', 'none.example'])).text, /publishes no/)
  })

  it('tells good, none, broken and unknown apart by the exit code', async () => {
    const { zone } = site.dns
    const record = zone['_ibemailkey.a.example']!.TXT!
    zone['_ibemailkey.good.example'] = { TXT: record }
    zone['_ibemailkey.past.example'] = { TXT: [`${String(record[0])}; x=1`] }
    zone['_ibemailkey.bad.example'] = { TXT: [String(record[0]).replace(/P=...../, 'P=AAAAA')] }
    zone['_ibemailkey.servfail.example'] = { misbehave: 'servfail' }
    zone['_ibemailkey.silent.example'] = { misbehave: 'drop' }
    assert.deepEqual(await check('good.example'), { code: 0, status: 'good' })
    assert.deepEqual(await check('none.example'), { code: 69, status: 'none' })
    assert.deepEqual(await check('past.example'), { code: 65, status: 'broken' })
    assert.deepEqual(await check('bad.example'), { code: 65, status: 'broken' })
    assert.deepEqual(await check('servfail.example'), { code: 75, status: '' })
    assert.deepEqual(await check('silent.example'), { code: 75, status: '' })
  })

  it('compares a domain of ours with the vault', async () => {
    assert.deepEqual(await check('a.example'), { code: 0, status: 'good' })
    await site.run(['kgc', 'new', '--domain', 'a.example'])
    const older = await site.run(['params', 'check', 'a.example'])
    assert.equal(older.code, 0)
    assert.match(older.text, /warn: bf n=2, the newest, is not published/)
    await publish(site, 'a.example', 2)
    assert.deepEqual(
      (await site.run(['params', 'check', 'a.example'])).text.match(/warn|fail/g),
      null,
    )
    await site.run(['kgc', 'retire', '--domain', 'a.example', '--n', '1', '--yes', '--force'])
    assert.match((await site.run(['params', 'check', 'a.example'])).text, /warn: bf n=1 .* retired/)

    site.dns.zone['_ibemailkey.a.example'] = {
      TXT: site.dns.zone['_ibemailkey.a.example']!.TXT!.map((text) =>
        String(text).replace('n=1;', 'n=9;'),
      ),
    }
    const unknown = await site.run(['params', 'check', 'a.example'])
    assert.equal(unknown.code, 78)
    assert.match(unknown.text, /fail: bf n=9 .* no such master key/)
  })
})

describe('hisho vault', () => {
  const fresh = generateX25519Identity().identity

  it('shows a master key only when told to', async () => {
    const site = await openReadySite('a.example')
    const quiet = await site.run(['vault', 'list', '--json'])
    const loud = await site.run(['vault', 'list', '--json', '--show-secrets'])
    const { keys } = JSON.parse(loud.text) as { keys: { masterKey: string }[] }
    const [{ masterKey } = { masterKey: '' }] = keys
    assert.equal(Buffer.from(masterKey, 'base64').length, 32)
    assert.ok(!quiet.text.includes(masterKey))
    assert.ok((await site.run(['vault', 'list', '--show-secrets'])).text.includes(masterKey))
    await site.close()
  })

  it('passwd: the new passphrase opens it, the old one does not', async () => {
    const site = await openReadySite('a.example')
    const env = { HISHO_NEW_PASSPHRASE: fresh }
    const { code, text } = await site.run(['vault', 'passwd'], { env })
    assert.equal(code, 0)
    assert.match(text, /Now put the new passphrase/)
    const old = await site.run(['vault', 'list'])
    assert.equal(old.code, 75)
    assert.match(old.stderr, /^hisho: vault\/locked: .*does not open it/)
    const { code: now } = await site.run(['vault', 'list'], { env: { HISHO_PASSPHRASE: fresh } })
    assert.equal(now, 0)
    await site.close()
  })

  it('passwd from a file that others may read is refused, and so are no and the same passphrase', async () => {
    const site = await openReadySite('a.example')
    const before = readFileSync(site.file('config/hisho.vault.age'))
    site.write('new', `${fresh}\n`)
    const passwd = (...more: string[]) => site.run(['vault', 'passwd', ...more])
    assert.equal((await passwd('--new-passphrase-file', site.file('new'))).code, 75)
    assert.equal((await passwd()).code, 64)
    site.write('same', `${AGE_KEY}\n`, 0o600)
    assert.equal((await passwd('--new-passphrase-file', site.file('same'))).code, 64)
    assert.deepEqual(readFileSync(site.file('config/hisho.vault.age')), before)
    await site.close()
  })

  it(
    'asks for a passphrase at a terminal, without echo',
    { skip: peer('script', 'bsdutils') },
    async () => {
      const site = await openReadySite('a.example')
      const main = join(__dirname, '..', '..', 'lib', 'cli', 'main.js')
      const command = `${process.execPath} ${main} --haraka ${site.path} vault list`
      const child = spawn('script', ['-qec', command, '/dev/null'], {
        env: { PATH: process.env['PATH'] },
      })
      let screen = ''
      let answered = false
      child.stdout.on('data', (piece) => {
        screen += String(piece)
        if (answered || !screen.includes('Passphrase of the vault: ')) return
        answered = true
        child.stdin.write(`x\u007F${AGE_KEY}\r`)
      })
      const [code] = (await once(child, 'close')) as [number]
      assert.equal(code, 0, screen)
      assert.match(screen, /a\.example/)
      assert.ok(!screen.includes(AGE_KEY))
      await site.close()
    },
  )

  it("Debian's age opens what passwd wrote", { skip: peer('age', 'age') }, async () => {
    const site = await openReadySite('a.example')
    site.write('new', `${fresh}\n`, 0o600)
    await site.run(['vault', 'passwd', '--new-passphrase-file', site.file('new')])
    const vault = site.file('config/hisho.vault.age')
    const yaml = execFileSync('age', ['-d', '-i', site.file('new'), vault]).toString()
    assert.equal(parseContents(yaml).get('a.example')?.ibe[0]?.n, 1)
    await site.close()
  })

  it('is locked, in one line, when there is no passphrase and nobody to ask', async () => {
    const site = await openReadySite('a.example')
    const { code, stderr, text } = await site.run(['vault', 'list'], {
      env: { HISHO_PASSPHRASE: '' },
    })
    assert.deepEqual([code, text], [75, ''])
    assert.match(stderr, /^hisho: vault\/locked: no passphrase: [^\n]*\n$/)
    await site.close()
  })
})
