import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SecretBytes } from '../../lib/crypto/secret-bytes.ts'
import { TempError } from '../../lib/errors.ts'
import type { KeyFormat } from '../../lib/mail/correspondent-keys.ts'
import { createKeyExpiry } from '../../lib/services/key-expiry.ts'
import { withMailKey, type MailKeyEntry } from '../../lib/vault/mail-keys.ts'
import type { VaultContents } from '../../lib/vault/contents.ts'

const NOW = Date.parse('2026-11-22T00:00:00Z')

/** Keys that are the time at which they expire, as text; '-' for those without an end. */
const format = (kind: KeyFormat['kind']): KeyFormat => ({
  kind,
  async read(bytes) {
    const text = Buffer.from(bytes).toString()
    const key = { fingerprint: 'f', bytes, addresses: [] }
    return [text === '-' ? key : { ...key, expires: text }]
  },
})

function vault(
  ...keys: readonly (Partial<MailKeyEntry> & { id: string; end: string })[]
): VaultContents {
  let contents: VaultContents = new Map()
  for (const { end, ...more } of keys)
    contents = withMailKey(contents, 'a.example', 'openpgp', {
      user: '*',
      secret: new SecretBytes(Buffer.from(end)),
      certificates: [],
      created: '2026-01-01T00:00:00Z',
      ...more,
    })
  return withMailKey(contents, 'b.example', 'smime', {
    id: 'cert',
    user: 'bob',
    secret: new SecretBytes(new Uint8Array([1])),
    certificates: [Buffer.from('2026-12-01T00:00:00Z')],
    created: '2026-01-01T00:00:00Z',
  })
}

const contents = vault(
  { id: 'late', end: '2028-01-01T00:00:00Z' },
  { id: 'soon', end: '2026-12-20T00:00:00Z', user: 'alice' },
  { id: 'over', end: '2026-11-20T00:00:00Z' },
  { id: 'endless', end: '-' },
  { id: 'revoked', end: '2026-11-20T00:00:00Z', revoked: '2026-11-01T00:00:00Z' },
  { id: 'retired', end: '2026-11-20T00:00:00Z', retired: '2026-11-01T00:00:00Z' },
)

function watch(
  keyRing: { contents(): Promise<VaultContents> },
  log: (text: string) => void = () => {},
) {
  return createKeyExpiry({
    keyRing,
    formats: [format('openpgp'), format('smime')],
    clock: { nowMs: () => NOW },
    log: (level, text) => log(`${level}: ${text}`),
  })
}

describe('our own keys', () => {
  it('are listed by the time that they have left, but for those that nobody is to use', async () => {
    const found = await watch({ contents: async () => contents }).of(contents)
    assert.deepEqual(
      found.map(({ id, kind, daysLeft }) => [id, kind, daysLeft]),
      [
        ['over', 'openpgp', -2],
        ['cert', 'smime', 9],
        ['soon', 'openpgp', 28],
        ['late', 'openpgp', 405],
      ],
    )
    assert.equal(
      Buffer.from(contents.get('a.example')!.openpgp[0]!.secret.bytes).toString().length,
      20,
    )
  })

  it('are in the log at start when they expire within a month, and no secret is', async () => {
    const log: string[] = []
    await new Promise<void>((resolve) => {
      const expiry = watch({ contents: async () => contents }, (text) => {
        if (log.push(text) < 3) return
        expiry.close()
        resolve()
      })
      expiry.start()
      expiry.start()
    })
    assert.deepEqual(log, [
      'warn: the openpgp key over of a.example has expired on 2026-11-20T00:00:00Z: nothing is signed with it, and others do not seal for it any more',
      'warn: the smime key cert of bob@b.example expires on 2026-12-01T00:00:00Z: hisho keys check says what to do',
      'warn: the openpgp key soon of alice@a.example expires on 2026-12-20T00:00:00Z: hisho keys check says what to do',
    ])
  })

  it('are not looked at while the vault is locked, which is said elsewhere', async () => {
    const log: string[] = []
    const locked = new TempError('vault/locked', 'locked')
    const expiry = watch({ contents: () => Promise.reject(locked) }, (text) => void log.push(text))
    expiry.start()
    await new Promise(setImmediate)
    expiry.close()
    assert.deepEqual(log, [])
  })
})
