import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { PermError } from '../../lib/errors.ts'
import { normalizeAddress } from '../../lib/ibe/identity.ts'
import { createSmimeKeyFormat } from '../../lib/smime/key-format.ts'
import { peer } from '../support/peers.ts'
import { authority, certificateOf, fingerprintOf } from './world.ts'

const format = createSmimeKeyFormat(normalizeAddress)
const alice = certificateOf('Alice@A.example')
const bob = certificateOf('bob@b.example')

const found = async (bytes: Uint8Array | string): Promise<string[]> =>
  (await format.read(Buffer.from(bytes))).map(({ fingerprint }) => fingerprint)

describe('certificates of others', () => {
  it('are read from DER and from PEM with text around it, each once, with addresses and end', async () => {
    const [key] = await format.read(alice.der)
    assert.deepEqual(key?.addresses, ['alice@a.example'])
    assert.deepEqual(key?.bytes, alice.der)
    assert.match(key?.expires ?? '', /^20\d\d-\d\d-\d\dT/)
    const text = `subject=alice\n${alice.certificate}\r\nissuer=\n${bob.certificate}${alice.certificate}`
    assert.deepEqual(await found(text), [alice, bob].map(fingerprintOf))
  })

  it('those of authorities are not among them', async () => {
    assert.deepEqual(await found(authority.certificate + bob.certificate), [fingerprintOf(bob)])
    assert.deepEqual(await found(authority.der), [])
  })

  it('come in .p7c files too, PEM and DER', { skip: peer('openssl', 'openssl') }, async () => {
    const input = alice.certificate + authority.certificate + bob.certificate
    const folder = mkdtempSync(join(tmpdir(), 'hisho-p7c-'))
    try {
      const file = join(folder, 'all.pem')
      writeFileSync(file, input)
      for (const form of ['PEM', 'DER']) {
        const args = ['crl2pkcs7', '-nocrl', '-certfile', file, '-outform', form]
        const p7c = execFileSync('openssl', args)
        assert.deepEqual((await found(p7c)).toSorted(), [alice, bob].map(fingerprintOf).toSorted())
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('what is none, or too long, is refused', async () => {
    const none: readonly (Uint8Array | string)[] = [
      '',
      'no certificate',
      '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----',
      alice.privateKey,
      alice.der.subarray(0, -1),
      Buffer.concat([alice.der, new Uint8Array(1)]),
      Buffer.alloc(300_000, bob.certificate),
    ]
    for (const bytes of none) await assert.rejects(found(bytes), PermError)
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 50 }), async (bytes) => {
        await found(bytes).catch((error: unknown) => assert.ok(error instanceof PermError))
      }),
    )
  })
})
