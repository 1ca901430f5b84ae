import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { generateAgeIdentity } from '../../lib/container/native-keys.ts'
import { generateX25519Identity } from '../../lib/container/x25519.ts'
import { SecretBytes } from '../../lib/crypto/secret-bytes.ts'
import { HishoError, PermError, TempError } from '../../lib/errors.ts'
import { writeAtomically } from '../../lib/disk/atomic-file.ts'
import {
  activeEntries,
  entriesOf,
  formatContents,
  parseContents,
  withMasterKey,
  withEntry,
  type MasterKeyEntry,
  type VaultContents,
} from '../../lib/vault/contents.ts'
import type { AgeIdentityEntry } from '../../lib/vault/age-identities.ts'
import type { SharedKeyEntry } from '../../lib/vault/shared-keys.ts'
import { EMPTY_SITE } from '../../lib/vault/site.ts'
import { readVault, writeVault } from '../../lib/vault/vault.ts'
import { peer } from '../support/peers.ts'

const run = promisify(execFile)
const secret = (text: string): SecretBytes => new SecretBytes(new TextEncoder().encode(text))

function entry(n: number, more: Partial<MasterKeyEntry> = {}): MasterKeyEntry {
  return {
    scheme: 'bf',
    n,
    period: 'month',
    masterKey: new SecretBytes(new Uint8Array(32).fill(n)),
    publicKey: Buffer.alloc(96, n).toString('base64'),
    created: '2026-11-22T10:00:00Z',
    ...more,
  }
}

/** What can be compared: secrets as hex. */
function plain(contents: VaultContents): unknown {
  return [...contents].map(([name, { ibe, shared, age }]) => [
    name,
    ibe.map((one) => ({ ...one, masterKey: Buffer.from(one.masterKey.bytes).toString('hex') })),
    shared.map((one) => ({ ...one, key: Buffer.from(one.key.bytes).toString('hex') })),
    age.map((one) => ({ ...one, identity: Buffer.from(one.identity.bytes).toString('hex') })),
  ])
}

function sharedKey(id: string, more: Partial<SharedKeyEntry> = {}): SharedKeyEntry {
  const key = new SecretBytes(new Uint8Array(40).fill(id.length))
  return { id, key, created: '2026-11-22T05:00:00.000Z', ...more }
}

function ageEntry(id: string, more: Partial<AgeIdentityEntry> = {}): AgeIdentityEntry {
  const identity = secret(generateAgeIdentity(id.endsWith('1') ? 'mlkem768x25519' : 'x25519'))
  return { id, identity, created: '2026-11-22T05:00:00.000Z', ...more }
}

const CONTENTS: VaultContents = new Map([
  [
    'b.example',
    {
      ...EMPTY_SITE,
      ibe: [entry(1, { retired: '2026-12-01T00:00:00Z' }), entry(2, { period: 'none' })],
    },
  ],
  ['c.example', EMPTY_SITE],
  [
    'd.example',
    {
      ...EMPTY_SITE,
      shared: [sharedKey('k1', { retired: '2026-12-01T00:00:00Z' }), sharedKey('k2')],
      age: [ageEntry('id-1'), ageEntry('id-2', { retired: '2026-12-01T00:00:00Z' })],
    },
  ],
])
const isLocked = (error: unknown): boolean =>
  error instanceof TempError && error.code === 'vault/locked'

describe('the vault', () => {
  let folder = ''
  let file = ''
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'hisho-vault-'))
    file = join(folder, 'hisho.vault.age')
  })
  afterEach(() => {
    chmodSync(folder, 0o700)
    rmSync(folder, { recursive: true })
  })
  const { identity: key } = generateX25519Identity()

  for (const [title, passphrase] of [
    ['a passphrase', 'correct horse battery'],
    ['an age key', key],
  ] as const) {
    it(`what was written under ${title} is read back`, async () => {
      await writeVault(file, CONTENTS, secret(passphrase))
      assert.deepEqual(plain(await readVault(file, secret(passphrase))), plain(CONTENTS))
    })
  }

  it('another passphrase does not open it', async () => {
    await writeVault(file, CONTENTS, secret('right'))
    await assert.rejects(readVault(file, secret('wrong')), isLocked)
    await assert.rejects(readVault(file, secret('')), isLocked)
    await assert.rejects(readVault(file, secret(key)), isLocked)
  })

  it('without a file it is locked', async () => {
    await assert.rejects(readVault(file, secret(key)), isLocked)
  })

  it('C32: a file with any one bit changed, or cut off anywhere, is locked', async () => {
    await writeVault(file, CONTENTS, secret(key))
    const good = readFileSync(file)
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length * 8 - 1), async (bit) => {
        const bad = Buffer.from(good)
        bad[bit >> 3]! ^= 1 << (bit & 7)
        writeFileSync(file, bad)
        await assert.rejects(readVault(file, secret(key)), isLocked)
        writeFileSync(file, good.subarray(0, bit >> 3))
        await assert.rejects(readVault(file, secret(key)), isLocked)
      }),
      { numRuns: 60 },
    )
  })

  it('an empty passphrase is not taken', async () => {
    await assert.rejects(writeVault(file, CONTENTS, secret('')), PermError)
    assert.deepEqual(readdirSync(folder), [])
  })

  it('C32: is its owner’s alone, whatever the umask and the file before it', async () => {
    writeFileSync(file, 'old', { mode: 0o644 })
    const umask = process.umask(0)
    try {
      await writeVault(file, CONTENTS, secret(key))
    } finally {
      process.umask(umask)
    }
    assert.equal(statSync(file).mode & 0o777, 0o600)
  })

  it('a write that fails leaves the old file and nothing else', async () => {
    mkdirSync(file) // nothing can be renamed onto a directory that is not empty
    writeFileSync(join(file, 'x'), '')
    await assert.rejects(writeVault(file, CONTENTS, secret(key)))
    assert.deepEqual(readdirSync(folder), ['hisho.vault.age'])
    assert.deepEqual(readdirSync(file), ['x'])
  })

  it('of several writes at once one stands in the end, whole', async () => {
    const texts = ['one', 'two', 'three'].map((text) =>
      new TextEncoder().encode(text.repeat(10_000)),
    )
    await Promise.all(texts.map((text) => writeAtomically(file, text, { mode: 0o600 })))
    assert.ok(texts.some((text) => Buffer.from(text).equals(readFileSync(file))))
    assert.deepEqual(readdirSync(folder), ['hisho.vault.age'])
  })

  it('a file that people edit keeps its mode', async () => {
    writeFileSync(file, 'old')
    chmodSync(file, 0o640)
    await writeAtomically(file, new TextEncoder().encode('new'), { mode: 0o600, keepMode: true })
    assert.equal(readFileSync(file, 'utf8'), 'new')
    assert.equal(statSync(file).mode & 0o777, 0o640)
  })

  const noAge = peer('age', 'age')
  const noTerminal = noAge === false ? peer('script', 'bsdutils') : noAge

  it('opens with age -d and the key', { skip: noAge }, async () => {
    await writeVault(file, CONTENTS, secret(key))
    writeFileSync(join(folder, 'key'), `${key}\n`)
    const { stdout } = await run('age', ['-d', '-i', join(folder, 'key'), file])
    assert.deepEqual(plain(parseContents(stdout)), plain(CONTENTS))
  })

  it('opens with age -d and the passphrase', { skip: noTerminal }, async () => {
    await writeVault(file, CONTENTS, secret('correct horse battery'))
    const out = join(folder, 'out')
    const child = spawn('script', ['-qec', `age -d -o ${out} ${file}`, '/dev/null'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    let heard = ''
    child.stdout.on('data', (text: Buffer) => {
      heard += text.toString()
      if (!/passphrase[^\n]*: /i.test(heard)) return
      heard = ''
      child.stdin.write('correct horse battery\n')
    })
    assert.equal(
      await new Promise((resolve, reject) => child.on('error', reject).on('close', resolve)),
      0,
    )
    assert.deepEqual(plain(parseContents(readFileSync(out, 'utf8'))), plain(CONTENTS))
  })

  it('what age has written is read', { skip: noAge }, async () => {
    writeFileSync(join(folder, 'text'), formatContents(CONTENTS))
    const { recipient, identity } = generateX25519Identity()
    await run('age', ['-r', recipient, '-o', file, join(folder, 'text')])
    assert.deepEqual(plain(await readVault(file, secret(identity))), plain(CONTENTS))
  })
})

describe('what the vault holds', () => {
  const MASTER_KEY = Buffer.from('a master key, 32 octets, secret!').toString('base64')
  const one = (change: Record<string, unknown>): string =>
    JSON.stringify({
      version: 1,
      sites: {
        'b.example': {
          ibe: [
            {
              scheme: 'bf',
              n: 1,
              period: 'month',
              master_key: MASTER_KEY,
              public_key: Buffer.alloc(96).toString('base64'),
              created: 'x',
              ...change,
            },
          ],
        },
      },
    })

  it('is found by domain and scheme, the newest first, unless it was retired', () => {
    const serials = (domain: string) => activeEntries(CONTENTS, domain, 'bf').map(({ n }) => n)
    assert.deepEqual(serials('b.example'), [2])
    assert.deepEqual(
      entriesOf(CONTENTS, 'b.example', 'bf').map(({ n }) => n),
      [2, 1],
    )
    assert.deepEqual(activeEntries(CONTENTS, 'b.example', 'cc'), [])
    assert.deepEqual(serials('d.example'), [])
    assert.deepEqual(serials('__proto__'), [])
  })

  it('gets another generation, and no serial twice', () => {
    const more = withMasterKey(
      withMasterKey(new Map(), 'b.example', entry(1)),
      'b.example',
      entry(2),
    )
    assert.deepEqual(
      more.get('b.example')?.ibe.map(({ n }) => n),
      [1, 2],
    )
    assert.throws(() => withMasterKey(more, 'b.example', entry(2)), PermError)
    const signing = withMasterKey(more, 'b.example', entry(2, { scheme: 'cc' }))
    assert.equal(activeEntries(signing, 'b.example', 'cc').length, 1)
    const retired = withEntry(more, 'b.example', entry(1, { retired: '2026-12-01T00:00:00Z' }))
    assert.deepEqual(
      activeEntries(retired, 'b.example', 'bf').map(({ n }) => n),
      [2],
    )
    assert.equal(activeEntries(more, 'b.example', 'bf').length, 2)
    assert.throws(() => withEntry(more, 'b.example', entry(9)), PermError)
    assert.throws(() => withEntry(more, 'b.example', entry(1, { scheme: 'cc' })), PermError)
    assert.throws(() => withEntry(more, 'c.example', entry(1)), PermError)
  })

  it('survives being written and read', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(fc.domain(), fc.nat(5)), { selector: ([name]) => name }),
        (sites) => {
          const contents: VaultContents = new Map(
            sites.map(([name, count]) => [
              name,
              {
                ...EMPTY_SITE,
                ibe: Array.from({ length: count }, (_, at) => entry(at + 1)),
                shared: Array.from({ length: count }, (_, at) =>
                  sharedKey(`${name}-${at}`.slice(-64).replace(/^\W/, '0')),
                ),
                age: Array.from({ length: count % 3 }, (_, at) => ageEntry(`id-${at}`)),
              },
            ]),
          )
          assert.deepEqual(plain(parseContents(formatContents(contents))), plain(contents))
        },
      ),
    )
  })

  const SHARED = { id: 'k', key: MASTER_KEY, created: '2026-11-22T05:00:00.000Z' }
  const oneShared = (change: object): string =>
    JSON.stringify({ version: 1, sites: { 'd.example': { shared: [{ ...SHARED, ...change }] } } })

  const oneAge = (change: object): string =>
    JSON.stringify({ version: 1, sites: { 'd.example': { age: [{ ...SHARED, ...change }] } } })

  it('that was written before there were shared keys is read', () => {
    assert.deepEqual(
      parseContents('version: 1\nsites: { b.example: { ibe: [] } }').get('b.example'),
      EMPTY_SITE,
    )
  })

  const bad: readonly [place: RegExp, text: string][] = [
    [/version: must be 1/, '{}'],
    [/version: must be 1/, 'version: 2'],
    [/^vault:1:1: must be a mapping/, '[]'],
    [/sites: must be a mapping/, 'version: 1\nsites: []'],
    [/sites\.b\.example: must be a mapping/, 'version: 1\nsites: { b.example: 1 }'],
    [/sites\.b\.example\.ibe: must be a list/, 'version: 1\nsites: { b.example: { ibe: 1 } }'],
    [/ibe\.0: must be a mapping/, 'version: 1\nsites: { b.example: { ibe: [1] } }'],
    [/ibe\.0\.n: must be a positive number/, one({ n: 0 })],
    [/ibe\.0\.n: must be a positive number/, one({ n: '1' })],
    [/ibe\.0\.n: must be a positive number/, one({ n: 1.5 })],
    [/ibe\.0\.scheme: must be one of bf, cc, bb2/, one({ scheme: MASTER_KEY })],
    [/ibe\.0\.period: must be one of/, one({ period: MASTER_KEY })],
    [/ibe\.0\.master_key: must be a text/, one({ master_key: 1 })],
    [/ibe\.0\.master_key: must be base64 of 32 bytes/, one({ master_key: `${MASTER_KEY}AAAA` })],
    [/ibe\.0\.public_key: must be base64 of 96 bytes/, one({ public_key: MASTER_KEY })],
    [/ibe\.0\.created: must be a text/, one({ created: null })],
    [/ibe\.0\.retired: must be a text/, one({ retired: 1 })],
    [/d\.example\.shared: must be a list/, 'version: 1\nsites: { d.example: { shared: 1 } }'],
    [/shared\.0\.id: must be an id/, oneShared({ id: 'two words' })],
    [/shared\.0\.id: must be a text/, oneShared({ id: 1 })],
    [/shared\.0\.key: must be base64 of 32 bytes or more/, oneShared({ key: 'AAAA' })],
    [/shared\.0\.key: must be base64/, oneShared({ key: `${MASTER_KEY} ` })],
    [/shared\.0\.created: must be a text/, oneShared({ created: 5 })],
    [/shared\.0\.retired: must be a text/, oneShared({ retired: 5 })],
    [/d\.example\.age: must be a list/, 'version: 1\nsites: { d.example: { age: 1 } }'],
    [/age\.0\.identity: must be AGE-SECRET-KEY/, oneAge({ identity: MASTER_KEY })],
    [/age\.0\.identity: must be a text/, oneAge({ identity: 1 })],
    [/age\.0\.id: must be an id/, oneAge({ id: '' })],
    [
      /e\.example\.shared\.0\.id: stands here twice/,
      JSON.stringify({
        version: 1,
        sites: { 'd.example': { shared: [SHARED] }, 'e.example': { shared: [SHARED] } },
      }),
    ],
    [/^vault:\d+:\d+: /, `version: 1\nsites: "x" ${MASTER_KEY}`],
    [/^vault:\d+:\d+: /, `version: 1\n- ${MASTER_KEY}\n`],
    [/^vault:\d+:\d+: /, `version: 1\nsites: { b.example: { ibe: [ { master_key: ${MASTER_KEY}`],
  ]
  for (const [place, text] of bad) {
    it(`that is malformed is refused with the place and without the values: ${place}`, () => {
      assert.throws(
        () => parseContents(text),
        (error: unknown) => {
          assert.ok(error instanceof PermError)
          assert.equal(error.code, 'vault/malformed')
          assert.match(error.message, place)
          assert.ok(
            !JSON.stringify([error.message, error.stack, String(error.cause)]).includes(
              MASTER_KEY.slice(0, 12),
            ),
          )
          return true
        },
      )
    })
  }

  it('no text throws anything but a PermError', () => {
    fc.assert(
      fc.property(fc.json(), (json) => {
        try {
          parseContents(`{"version": 1, "sites": ${json}}`)
        } catch (error) {
          assert.ok(error instanceof PermError, String(error))
        }
      }),
    )
  })

  it('C32: no error of a vault says its passphrase or what is inside', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'hisho-vault-'))
    const file = join(folder, 'v')
    const passphrase = 'a very secret passphrase'
    try {
      await writeVault(file, CONTENTS, secret(passphrase))
      const errors: unknown[] = []
      const note = (error: unknown): void => void errors.push(error)
      await readVault(file, secret(`${passphrase}!`)).catch(note)
      writeFileSync(file, readFileSync(file).subarray(0, -1))
      await readVault(file, secret(passphrase)).catch(note)
      assert.equal(errors.length, 2)
      for (const outer of errors) {
        let error: unknown = outer
        for (; error instanceof Error; error = error.cause) {
          assert.doesNotMatch(`${error.message} ${error.stack}`, /very secret/)
          if (error instanceof HishoError) assert.match(error.code, /^(?:vault|container)\//)
        }
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
