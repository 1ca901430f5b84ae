// What an operator sees of changed parameters, and what the operator's word does.
import assert from 'node:assert/strict'
import {
  chmodSync,
  chownSync,
  existsSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterEach, before, beforeEach, describe, it } from 'node:test'
import { createIbe, createIbePool } from '../../lib/ibe/ibe.ts'
import { systemClock } from '../../lib/clock.ts'
import { fingerprintOf, ownRecords, parametersOf } from '../../lib/services/own-records.ts'
import { withMasterKey, type VaultContents } from '../../lib/vault/contents.ts'
import { makeSite } from '../support/site.ts'
import { peer } from '../support/peers.ts'
import { redisMissing, startRedis } from '../support/redis-server.ts'
import { openSite, type Site } from './site.ts'

interface Shown {
  readonly records: readonly { readonly fingerprint?: string }[]
  readonly trust: {
    readonly status: string
    readonly source: string | null
    readonly reason: string | null
  }
}

interface Keys {
  /** All that the domain publishes. */
  readonly records: readonly string[]
  readonly contents: VaultContents
  readonly fingerprints: readonly string[]
}

async function keysOf(contents: VaultContents): Promise<Keys> {
  const pool = createIbePool({ size: 1, queueLimit: 10 })
  try {
    const own = await ownRecords(createIbe({ pool, clock: systemClock }), contents, 'b.example')
    return {
      contents,
      records: own.map(({ text }) => text),
      fingerprints: own.map(({ entry }) => fingerprintOf(parametersOf(entry))),
    }
  } finally {
    await pool.close()
  }
}

const NAME = '_ibemailkey.b.example'

describe('hisho params accept', () => {
  let site: Site
  /** b.example's first keys, the same with a second generation, and keys of somebody else. */
  let first: Keys
  let second: Keys
  let forged: Keys

  before(async () => {
    const [one, two, other] = await Promise.all([
      makeSite('b.example'),
      makeSite('b.example', { n: 2 }),
      makeSite('b.example', { n: 2 }),
    ])
    const both = two.contents
      .get('b.example')!
      .ibe.reduce((all, entry) => withMasterKey(all, 'b.example', entry), one.contents)
    first = await keysOf(one.contents)
    second = await keysOf(both)
    forged = await keysOf(other.contents)
  })
  beforeEach(async () => {
    site = await openSite()
    site.write(
      'config/hisho.yaml',
      'local: [a.example]\ndomains:\n  b.example: { encrypt: required }\n',
    )
    publishes(first)
  })
  afterEach(() => site.close())

  const publishes = ({ records }: Pick<Keys, 'records'>, authentic = false): void => {
    site.dns.zone[NAME] = { TXT: records, authentic }
  }
  const trust = async (): Promise<string> => {
    const { text } = await site.run(['params', 'show', 'b.example', '--json'])
    return (JSON.parse(text) as Shown).trust.status
  }
  const check = async (): Promise<number | null> =>
    (await site.run(['params', 'check', 'b.example'])).code
  const accept = (...more: string[]) => site.run(['params', 'accept', 'b.example', ...more])
  /** Of `required: b.example`. */
  const doctor = async (): Promise<{ status: string; found: string; advice?: string }> => {
    const { text } = await site.run(['doctor', '--json'])
    const { checks } = JSON.parse(text) as {
      checks: { check: string; status: string; found: string; advice?: string }[]
    }
    return checks.find((one) => one.check === 'required: b.example')!
  }

  it('what is seen first is new, and then remembered', async () => {
    assert.equal(await trust(), 'new')
    assert.equal(await trust(), 'remembered')
    assert.equal(await check(), 0)
    assert.equal((await doctor()).status, 'ok')
    const { text } = await site.run(['params', 'show', 'b.example'])
    for (const fingerprint of first.fingerprints)
      assert.ok(text.includes(`fingerprint ${fingerprint}`))
    assert.match(text, /^remembered: as it was seen before/m)
  })

  it('what DNSSEC vouches for is authenticated, and replaces what is remembered', async () => {
    await trust()
    publishes(forged, true)
    assert.equal(await trust(), 'authenticated')
    publishes(forged)
    assert.equal(await trust(), 'remembered')
  })

  it('what older keys have signed needs nobody', async () => {
    await trust()
    publishes(second)
    assert.equal(await trust(), 'remembered')
    publishes({ records: second.records.filter((text) => text.includes(' n=2;')) })
    assert.equal(await trust(), 'remembered')
    assert.equal((await doctor()).status, 'ok')
  })

  it('what nothing vouches for is shown as changed, and counts once it is accepted', async () => {
    await trust()
    publishes(forged)
    assert.equal(await trust(), 'changed')
    assert.equal(await check(), 75)
    const { status, found, advice } = await doctor()
    assert.equal(status, 'fail')
    assert.match(found, /n=2, which nothing vouches for, where n=1 is remembered/)
    assert.match(advice ?? '', /hisho params accept b\.example/)

    const nobody = await accept()
    assert.equal(nobody.code, 64)
    assert.match(nobody.stderr, /nobody to ask/)
    assert.equal(await trust(), 'changed')

    const { code, text } = await accept('--yes')
    assert.equal(code, 0)
    const [before = '', after = ''] = text.split('Published now (plain DNS, which can be forged):')
    for (const fingerprint of first.fingerprints) assert.ok(before.includes(fingerprint), text)
    for (const fingerprint of forged.fingerprints) assert.ok(after.includes(fingerprint), text)
    assert.match(
      text,
      /Accepted: bf n=2, cc n=2\.\nRunning gateways on this machine follow within a minute; on others, run/,
    )
    assert.equal(await trust(), 'remembered')
    assert.equal(await check(), 0)
    assert.equal((await doctor()).status, 'ok')
    publishes(first)
    assert.equal(await trust(), 'vanished', 'what was remembered before counts no more')
  })

  it(
    'asks at a terminal, and takes yes alone for yes',
    { skip: peer('script', 'bsdutils') },
    async () => {
      const main = join(__dirname, '..', '..', 'lib', 'cli', 'main.js')
      const command = `${process.execPath} ${main} --haraka ${site.path} params accept b.example`
      const answer = async (text: string): Promise<number> => {
        const { PATH } = process.env
        const child = spawn('script', ['-qec', command, '/dev/null'], { env: { PATH } })
        let screen = ''
        child.stdout.on('data', (piece) => {
          if (screen.includes('[y/N]')) return
          screen += String(piece)
          if (screen.includes('[y/N]')) child.stdin.write(`${text}\r`)
        })
        const [code] = (await once(child, 'close')) as [number]
        assert.match(screen, /Have the operators of b\.example told you these fingerprints/)
        return code
      }
      await trust()
      publishes(forged)
      for (const no of ['', 'n', 'yo']) assert.equal(await answer(no), 64)
      assert.equal(await trust(), 'changed')
      assert.equal(await answer('y'), 0)
      assert.equal(await trust(), 'remembered')
    },
  )

  it('accepting what is remembered already changes nothing', async () => {
    await trust()
    const { code, text } = await accept()
    assert.equal(code, 0)
    assert.match(text, /there is nothing to accept/)
    publishes({ records: [] })
    site.dns.zone['_ibemailkey.c.example'] = { TXT: [] }
    assert.match((await site.run(['params', 'accept', 'c.example'])).text, /nothing to accept/)
  })

  it('a domain that has stopped is shown as vanished, and forgotten once that is accepted', async () => {
    await trust()
    for (const zone of [undefined, { TXT: [] }, { A: ['127.0.0.1'] }]) {
      if (zone) site.dns.zone[NAME] = zone
      else delete site.dns.zone[NAME]
      assert.equal(await trust(), 'vanished')
    }
    assert.equal((await doctor()).status, 'fail')
    assert.equal(await check(), 75)
    const { code, text } = await accept('--yes')
    assert.equal(code, 0)
    assert.match(text, /Forgotten: b\.example counts as a domain that publishes nothing/)
    assert.equal(await trust(), 'none')
    assert.equal(await check(), 69)
    publishes(forged)
    assert.equal(await trust(), 'new', 'whoever comes next is believed')
  })

  it('nothing is accepted while DNS does not answer, or where nothing can be used', async () => {
    await trust()
    site.dns.zone[NAME] = { misbehave: 'servfail' }
    assert.equal((await accept('--yes')).code, 75)
    publishes({ records: [first.records[0]!.replace(/P=...../, 'P=AAAAA')] })
    const { code, stderr } = await accept('--yes')
    assert.equal(code, 69)
    assert.match(stderr, /nothing of what b\.example publishes can be used/)
    publishes(first)
    assert.equal(await trust(), 'remembered')
  })

  it('mends what is damaged', async () => {
    await trust()
    const folder = site.file('config/hisho.store')
    for (const name of readdirSync(folder)) writeFileSync(join(folder, name), 'rubbish')
    const shown = await site.run(['params', 'show', 'b.example'])
    assert.match(shown.text, /^unknown: .*damaged/m)
    const { code, text } = await accept('--yes')
    assert.equal(code, 0, text)
    assert.match(text, /Remembered of b\.example:\n {2}something that is damaged\n/)
    assert.equal(await trust(), 'remembered')
  })

  it('of a domain of ours it says what the vault says, and nothing of trust', async () => {
    const { text } = await site.run(['init', '--domain', 'a.example'])
    assert.notEqual(text, '')
    const shown = await site.run(['params', 'show', 'a.example', '--json'])
    assert.deepEqual(Object.keys(JSON.parse(shown.text) as object), ['domain', 'records', 'vault'])
  })

  it('with Redis one word is enough for all machines', { skip: redisMissing }, async () => {
    const redis = await startRedis()
    const ini = `[redis]\nurl=redis://127.0.0.1:${redis.port}\n`
    const other = await openSite({ ini })
    try {
      site.write('config/hisho.ini', `${site.read('config/hisho.ini')}${ini}`)
      for (const one of [site, other]) {
        one.write('config/hisho.yaml', 'local: []\ndomains: {}\n')
        one.dns.zone[NAME] = { TXT: first.records, ttl: 1 }
      }
      assert.equal(await trust(), 'new')
      for (const one of [site, other]) one.dns.zone[NAME] = { TXT: forged.records }
      const { text } = await accept('--yes')
      assert.match(text, /follow within a minute\.\n$/)
      const shown = await other.run(['params', 'show', 'b.example', '--json'])
      assert.equal((JSON.parse(shown.text) as Shown).trust.status, 'remembered')
      assert.ok(!existsSync(site.file('config/hisho.store')))
    } finally {
      await other.close()
      await redis.close()
    }
  })

  describe('run by root for a Haraka that is not', { skip: process.geteuid?.() !== 0 }, () => {
    const USER_ID = 65_534
    const store = () => site.file('config/hisho.store')
    const checkOf = async (name: string) => {
      const { text } = await site.run(['doctor', '--json'])
      const { checks } = JSON.parse(text) as {
        checks: { check: string; status: string; found: string }[]
      }
      return checks.find(({ check: one }) => one === name)!
    }

    it('leaves the store to the user that Haraka becomes', async () => {
      site.write('config/smtp.ini', `user=${USER_ID}\n`)
      assert.equal(await trust(), 'new')
      assert.equal(statSync(store()).uid, USER_ID)
      assert.equal(statSync(store()).mode & 0o777, 0o700)
      const files = readdirSync(store())
      assert.equal(files.length, 1)
      for (const name of files) assert.equal(statSync(join(store(), name)).uid, USER_ID)
      assert.equal((await checkOf('store')).status, 'ok')
    })

    it('doctor warns of a store that Haraka cannot use', async () => {
      assert.equal(await trust(), 'new')
      assert.equal((await checkOf('store')).status, 'ok')
      chmodSync(store(), 0o755)
      assert.match((await checkOf('store')).found, /others may see/)
      chmodSync(store(), 0o700)
      site.write('config/smtp.ini', `user=${USER_ID}\n`)
      const foreign = await checkOf('store')
      assert.equal(foreign.status, 'warn')
      assert.match(foreign.found, /cannot write there/)
      chownSync(store(), USER_ID, USER_ID)
      assert.match((await checkOf('store')).found, /cannot read/)
      rmSync(store(), { recursive: true })
      writeFileSync(store(), '')
      assert.match((await checkOf('store')).found, /no directory/)
    })
  })
})
