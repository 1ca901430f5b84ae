import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SecretBytes } from '../../lib/crypto/secret-bytes.ts'
import { formatContents, parseContents } from '../../lib/vault/contents.ts'
import {
  mailKeysOf,
  withChangedMailKey,
  withMailKey,
  type MailKeyEntry,
} from '../../lib/vault/mail-keys.ts'

const KEY: MailKeyEntry = {
  id: '0123456789abcdef',
  user: '*',
  secret: new SecretBytes(Uint8Array.of(1, 2, 3)),
  certificates: [Uint8Array.of(0x30, 0), Uint8Array.of(0x30, 1, 5)],
  created: '2026-11-22T00:00:00.000Z',
}

const bytesOf = (entry: MailKeyEntry | undefined): number[] => [...(entry?.secret.bytes ?? [])]

describe('keys for OpenPGP and S/MIME in the vault', () => {
  it('come back as they went in, each in its own section', () => {
    let contents = withMailKey(new Map(), 'a.example', 'smime', KEY)
    contents = withMailKey(contents, 'a.example', 'openpgp', { ...KEY, certificates: [] })
    const revoked = { ...KEY, revoked: '2027-01-01T00:00:00.000Z' }
    contents = withChangedMailKey(contents, 'a.example', 'smime', revoked)
    const read = parseContents(formatContents(contents))
    const [smime] = mailKeysOf(read, 'a.example', 'smime')
    const [openpgp] = mailKeysOf(read, 'a.example', 'openpgp')
    assert.deepEqual(bytesOf(smime), [1, 2, 3])
    assert.deepEqual(
      smime?.certificates.map((one) => [...one]),
      KEY.certificates.map((one) => [...one]),
    )
    assert.equal(smime?.revoked, revoked.revoked)
    assert.deepEqual(bytesOf(openpgp), [1, 2, 3])
    assert.deepEqual(openpgp?.certificates, [])
    assert.deepEqual(mailKeysOf(read, 'a.example', 'ca'), [])
  })

  it('have ids that are given once', () => {
    const contents = withMailKey(new Map(), 'a.example', 'smime', KEY)
    assert.throws(() => withMailKey(contents, 'a.example', 'smime', KEY), { code: 'cli/usage' })
    const other = { ...KEY, id: 'other' }
    assert.throws(() => withChangedMailKey(contents, 'a.example', 'smime', other), {
      code: 'cli/usage',
    })
  })

  it('a vault that is not so is refused, and the message holds no value', () => {
    const text = formatContents(withMailKey(new Map(), 'a.example', 'smime', KEY))
    for (const [from, to] of [
      ['secret: AQID', 'secret: "A*ID"'],
      ['user: "*"', 'user: 5'],
      ['- MAA=', '- 7'],
    ] as const) {
      assert.ok(text.includes(from), from)
      assert.throws(
        () => parseContents(text.replace(from, to)),
        (error: Error) =>
          /sites\.a\.example\.smime\.0\./.test(error.message) && !error.message.includes('A*ID'),
      )
    }
  })
})
