import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { collect } from '../../lib/mail/message.ts'
import { seal } from '../../lib/container/container.ts'
import { generateX25519Identity, x25519Recipient } from '../../lib/container/x25519.ts'
import { SecretBytes } from '../../lib/crypto/secret-bytes.ts'
import { TempError } from '../../lib/errors.ts'
import type { VaultContents } from '../../lib/vault/contents.ts'
import { createKeyRing, type KeyRing } from '../../lib/vault/key-ring.ts'
import { EMPTY_SITE } from '../../lib/vault/site.ts'
import { writeVault } from '../../lib/vault/vault.ts'
import { fakeClock, type FakeClock } from '../ibe/fake-clock.ts'

const { identity, recipient } = generateX25519Identity()
const isLocked = (error: unknown): boolean =>
  error instanceof TempError && error.code === 'vault/locked'

describe('the key ring', () => {
  let folder = ''
  let file = ''
  let clock: FakeClock
  let log: string[] = []
  let environment: Record<string, string> = {}
  let ring: KeyRing

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'hisho-ring-'))
    file = join(folder, 'vault')
    clock = fakeClock()
    log = []
    environment = { HISHO_PASSPHRASE: identity }
    ring = createKeyRing({
      file,
      sources: { environment },
      clock,
      log: (level, message) => log.push(`${level} ${message}`),
    })
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const write = (...sites: string[]): Promise<void> => {
    const contents: VaultContents = new Map(sites.map((name) => [name, EMPTY_SITE]))
    return writeVault(file, contents, new SecretBytes(new TextEncoder().encode(identity)))
  }
  const sites = async (): Promise<string[]> => [...(await ring.contents()).keys()]
  /** Looks until the file was looked at in the background and the log says so. */
  const settled = async (lines: number): Promise<string[]> => {
    clock.passMs(5_000)
    for (let turn = 0; turn < 1_000 && log.length < lines; turn++) {
      await ring.contents()
      await new Promise(setImmediate)
    }
    assert.equal(log.length, lines, log.join('\n'))
    return sites()
  }

  it('latest looks at the file before it answers, twice a second at most', async () => {
    await write('b.example')
    assert.deepEqual(await sites(), ['b.example'])
    await write('b.example', 'c.example')
    assert.deepEqual([...(await ring.latest()).keys()], ['b.example'], 'looked at just now')
    clock.passMs(500)
    assert.deepEqual([...(await ring.latest()).keys()], ['b.example', 'c.example'])
    writeFileSync(file, 'rubbish')
    clock.passMs(500)
    assert.deepEqual([...(await ring.latest()).keys()], ['b.example', 'c.example'])
  })

  it('opens the vault once for all that ask', async () => {
    await write('b.example')
    const all = await Promise.all(Array.from({ length: 20 }, () => ring.contents()))
    assert.equal(new Set(all).size, 1)
    assert.deepEqual(log, ['notice vault open: b.example'])
  })

  it('is locked without a file, and says so once', async () => {
    for (let at = 0; at < 3; at++) {
      await assert.rejects(ring.contents(), isLocked)
      clock.passMs(5_000)
    }
    assert.equal(log.length, 1)
    assert.match(
      log[0] ?? '',
      /^error vault locked: .*vault: cannot be read; mail that needs it is deferred$/,
    )
  })

  it('does not try again within a few seconds, and does after them', async () => {
    await assert.rejects(ring.contents(), isLocked)
    await write('b.example')
    await assert.rejects(ring.contents(), isLocked)
    clock.passMs(5_000)
    assert.deepEqual(await sites(), ['b.example'])
  })

  it('opens once the passphrase has come, though the file is the same', async () => {
    delete environment['HISHO_PASSPHRASE']
    await write('b.example')
    await assert.rejects(ring.contents(), isLocked)
    environment['HISHO_PASSPHRASE'] = identity
    clock.passMs(5_000)
    assert.deepEqual(await sites(), ['b.example'])
  })

  it('latest does not try again what failed a moment ago: requests from outside would cost a scrypt each', async () => {
    environment['HISHO_PASSPHRASE'] = 'wrong'
    await write('b.example')
    await assert.rejects(ring.latest(), isLocked)
    environment['HISHO_PASSPHRASE'] = identity
    clock.passMs(500)
    await assert.rejects(ring.latest(), isLocked)
    clock.passMs(4_500)
    assert.deepEqual([...(await ring.latest()).keys()], ['b.example'])
  })

  it('reads a changed file', async () => {
    await write('b.example')
    assert.deepEqual(await sites(), ['b.example'])
    await write('b.example', 'c.example')
    assert.deepEqual(await sites(), ['b.example'], 'not within five seconds')
    assert.deepEqual(await settled(2), ['b.example', 'c.example'])
  })

  for (const [title, spoil] of [
    ['is damaged', () => writeFileSync(file, 'no age file')],
    ['is gone', () => rmSync(file)],
  ] as const) {
    it(`keeps what it has when the file ${title}, and says so once`, async () => {
      await write('b.example')
      await sites()
      spoil()
      assert.deepEqual(await settled(2), ['b.example'])
      assert.match(log[1] ?? '', /^error vault locked: .*the contents read before stay in use$/)
      clock.passMs(5_000)
      await ring.contents()
      await new Promise(setImmediate)
      await write('c.example')
      assert.deepEqual(await settled(3), ['c.example'])
    })
  }

  it('what opens and is no vault is a failure that may pass, as mail must wait for it', async () => {
    async function* text() {
      yield new TextEncoder().encode('version: 1\nsites: TOPSECRET\n')
    }
    writeFileSync(file, await collect(seal([x25519Recipient(recipient)], text())))
    await assert.rejects(ring.contents(), isLocked)
    assert.match(log.join('\n'), /sites: must be a mapping/)
    assert.doesNotMatch(log.join('\n'), /TOPSECRET/)
  })

  it('never says the passphrase', async () => {
    environment['HISHO_PASSPHRASE'] = 'TOPSECRET'
    await write('b.example')
    await ring.contents().catch((error: unknown) => log.push(String(error)))
    assert.equal(log.length, 2)
    assert.doesNotMatch(log.join('\n'), /TOPSECRET|AGE-SECRET/)
  })
})
