import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { TempError } from '../../lib/errors.ts'
import { readPassphrase, type PassphraseSources } from '../../lib/vault/passphrase.ts'

const read = async (sources: PassphraseSources): Promise<string> =>
  Buffer.from((await readPassphrase(sources)).bytes).toString()

describe('the passphrase', () => {
  let folder = ''
  let file = ''
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'hisho-passphrase-'))
    file = join(folder, 'file')
    writeFileSync(join(folder, 'hisho-passphrase'), 'from systemd\n')
    writeFileSync(file, 'from the file\r\n', { mode: 0o600 })
  })
  after(() => rmSync(folder, { recursive: true }))
  const refused = (sources: PassphraseSources, reason: RegExp): Promise<void> =>
    assert.rejects(readPassphrase(sources), (error: unknown) => {
      assert.ok(error instanceof TempError)
      assert.equal(error.code, 'vault/locked')
      assert.match(error.message, reason)
      assert.doesNotMatch(error.message, /from /)
      return true
    })

  it('is first of all the credential of systemd', async () => {
    assert.equal(
      await read({
        environment: { CREDENTIALS_DIRECTORY: folder, HISHO_PASSPHRASE: 'from the environment' },
        file,
      }),
      'from systemd',
    )
  })

  it('is then the file', async () => {
    const environment = {
      CREDENTIALS_DIRECTORY: join(folder, 'none'),
      HISHO_PASSPHRASE: 'from the environment',
    }
    assert.equal(await read({ environment, file }), 'from the file')
  })

  it('is then the environment variable', async () => {
    for (const none of ['', undefined])
      assert.equal(
        await read({ environment: { HISHO_PASSPHRASE: 'from the environment' }, file: none }),
        'from the environment',
      )
  })

  it('is missing if none of them has it', async () => {
    await refused({ environment: {} }, /HISHO_PASSPHRASE/)
    await refused({ environment: { HISHO_PASSPHRASE: '' } }, /no passphrase/)
  })

  it('is not looked for further when the file that was named is not there', async () => {
    await refused(
      { environment: { HISHO_PASSPHRASE: 'from the environment' }, file: join(folder, 'none') },
      /cannot be read/,
    )
  })

  for (const mode of [0o640, 0o604, 0o644, 0o660, 0o610]) {
    it(`in a file of mode ${mode.toString(8)} is refused`, async () => {
      chmodSync(file, mode)
      await refused({ environment: {}, file }, /mode must be 0600/)
    })
  }

  it('loses the ends of its line, and nothing else', async () => {
    assert.equal(await read({ environment: { HISHO_PASSPHRASE: '  a b \r\n\n' } }), '  a b ')
  })
})
