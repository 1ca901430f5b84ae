// `hisho lookup` and `hisho keys pins|accept|forget`: keys of others by real records, as the operator sees them.
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { SecretBytes } from '../../lib/crypto/secret-bytes.ts'
import { dnsNameOf } from '../../lib/key-directory/names.ts'
import type { OpenPgpPool } from '../../lib/openpgp/openpgp.ts'
import { withMailKey } from '../../lib/vault/mail-keys.ts'
import { readVault, writeVault } from '../../lib/vault/vault.ts'
import { newKey, startPool, type TestKey } from '../openpgp/world.ts'
import { AGE_KEY, openReadySite, type Result, type Site } from './site.ts'

const BOB = 'bob@b.example'

interface View {
  readonly rule: string
  readonly used?: { readonly scheme: string; readonly status: string }
  readonly schemes: readonly { readonly scheme: string; readonly status: string }[]
  readonly sources: readonly {
    readonly source: string
    readonly status: string
    readonly keys?: readonly { readonly fingerprint: string }[]
  }[]
  readonly pins: readonly {
    readonly fingerprints: readonly string[]
    readonly pending: readonly { readonly fingerprint: string }[]
  }[]
}

describe('hisho lookup', () => {
  let pool: OpenPgpPool
  let site: Site
  let first: TestKey
  let second: TestKey

  before(async () => {
    pool = startPool()
    first = await newKey(pool, BOB)
    second = await newKey(pool, BOB)
    site = await openReadySite('a.example')
    const required = '{ encrypt: required, scheme: openpgp, key_sources: [operator, dnssec] }'
    site.write(
      'config/hisho.yaml',
      [
        'local: [a.example]',
        'domains:',
        `  b.example: ${required}`,
        `  c.example: ${required}`,
        `  d.example: { encrypt: opportunistic, schemes: [ibe, openpgp], key_sources: [operator, dnssec] }`,
        '  e.example: { encrypt: never }',
      ].join('\n'),
    )
    // A minute is the least for which a key is remembered; here none is.
    site.write('config/hisho.ini', `${site.read('config/hisho.ini')}\n[keys]\nttl_floor=0\n`)
  })
  after(() => Promise.all([site?.close(), pool?.close()]))

  const publish = (key: TestKey, address = BOB): void => {
    site.dns.zone[dnsNameOf('openpgp', address)] = {
      OPENPGPKEY: [key.certificate],
      authentic: true,
    }
  }
  const lookUp = async (address: string, code: number): Promise<View> => {
    const result = await site.run(['lookup', address, '--json'])
    assert.equal(result.code, code, result.stderr + result.text)
    return JSON.parse(result.text) as View
  }
  const text = async (...args: string[]): Promise<string> => {
    const result: Result = await site.run(args)
    assert.equal(result.code, 0, result.stderr)
    return result.text
  }

  it('says that nothing is there where something is owed: 69', async () => {
    const view = await lookUp('x@c.example', 69)
    assert.deepEqual(
      [view.rule, view.used, view.schemes[0]?.status],
      ['c.example', undefined, 'none'],
    )
    assert.equal((await lookUp('x@d.example', 0)).used, undefined)
    assert.equal((await lookUp('x@e.example', 0)).used, undefined)
    assert.equal((await lookUp('x@a.example', 0)).rule, 'local')
    assert.equal((await site.run(['lookup', 'nobody'])).code, 64)
  })

  it('says that nobody knows: 75', async () => {
    site.dns.zone[dnsNameOf('openpgp', 'x@c.example')] = { misbehave: 'servfail' }
    const view = await lookUp('x@c.example', 75)
    assert.deepEqual([view.schemes[0]?.status, view.sources[1]?.status], ['unknown', 'unknown'])
  })

  it('shows the key, from where it is, and that it is pinned', async () => {
    publish(first)
    const view = await lookUp(BOB, 0)
    assert.deepEqual(
      [view.used?.scheme, view.sources.map(({ source, status }) => `${source} ${status}`)],
      ['openpgp', ['operator none', 'dnssec found']],
    )
    assert.equal(view.sources[1]?.keys?.[0]?.fingerprint, first.fingerprint)
    assert.deepEqual(view.pins[0]?.fingerprints, [first.fingerprint])
    const shown = await text('lookup', BOB)
    assert.match(shown, /^bob@b\.example: sealed: .* \(line b\.example: required\)$/m)
    assert.match(shown, new RegExp(`pinned since .* \\(dnssec\\): ${first.fingerprint}`))
  })

  it('C19: another key waits for the operator’s word', async () => {
    publish(second)
    const view = await lookUp(BOB, 75)
    assert.equal(view.schemes[0]?.status, 'untrusted')
    assert.deepEqual(
      view.pins[0]?.pending.map(({ fingerprint }) => fingerprint),
      [second.fingerprint],
    )
    assert.match(await text('keys', 'pins'), new RegExp(`waiting .*${second.fingerprint}`))
    assert.notEqual((await site.run(['keys', 'accept', BOB, 'ff'])).code, 0)
    const spaced = second.fingerprint.toUpperCase().replaceAll(/(.{4})/g, '$1 ')
    await text('keys', 'accept', BOB, spaced)
    assert.equal((await lookUp(BOB, 0)).used?.status, 'usable')
    assert.match(await text('keys', 'pins', BOB), new RegExp(`accepted .*${second.fingerprint}`))
    await text('keys', 'forget', BOB)
    assert.equal((await text('keys', 'pins')).trim(), 'no pinned keys')
  })

  it('shows a file of the operator’s, for a whole domain too', async () => {
    mkdirSync(site.file('config/hisho.keys/openpgp'), { recursive: true })
    writeFileSync(site.file('config/hisho.keys/openpgp/c.example.pgp'), first.certificate)
    const view = await lookUp('y@c.example', 0)
    assert.equal(view.sources[0]?.keys?.[0]?.fingerprint, first.fingerprint)
    assert.match(await text('lookup', 'y@c.example'), /of the whole domain/)
  })

  it('keys dns prints the record of a key of ours', async () => {
    const alice = await newKey(pool, 'alice@a.example')
    const file = site.file('config/hisho.vault.age')
    const passphrase = new SecretBytes(Buffer.from(AGE_KEY))
    const contents = withMailKey(await readVault(file, passphrase), 'a.example', 'openpgp', {
      id: alice.fingerprint,
      user: 'alice',
      secret: new SecretBytes(alice.secret),
      certificates: [],
      created: '2026-11-22T00:00:00.000Z',
    })
    await writeVault(file, contents, passphrase)
    const base64 = Buffer.from(alice.certificate).toString('base64')
    assert.equal(
      await text('keys', 'dns', '--openpgp', 'Alice@a.example'),
      `${dnsNameOf('openpgp', 'alice@a.example')}. IN OPENPGPKEY ${base64}\n`,
    )
  })

  it('keys dns wants an address of ours with a key', async () => {
    const wrong = [[], ['--openpgp', BOB], ['--openpgp', 'x@a.example']]
    const runs = await Promise.all(wrong.map((args) => site.run(['keys', 'dns', ...args])))
    assert.deepEqual(
      runs.map(({ code }) => code),
      [64, 64, 64],
    )
  })
})
