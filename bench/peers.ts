// Programs that do what a scheme does, with the keys of alice@a.example and bob@b.example.
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeArmor } from '../lib/openpgp/armor.ts'
import type { Profile } from '../lib/smime/cms/seal.ts'
import type { TestKey } from '../test/openpgp/world.ts'
import type { Certified } from '../test/support/certificates.ts'

/** Command lines: what they read is in the file (`-`: comes in), what they write goes out. */
export interface Peer {
  readonly name: string
  /** Said behind its name. */
  readonly note?: string
  readonly environment?: Readonly<Record<string, string>>
  seal(plain: string): readonly string[]
  open(sealed: string): readonly string[]
  /** The file to open, from what `seal` has written. */
  sealInto(plain: string, sealed: string): readonly string[]
  /** The process that it has left running, which works for it too. */
  daemon?(): number
  /** Ends what it has left running. */
  close?(): void
}

/**
 * The agent that it starts is kept, as a filter would keep it. `locked`: the secret keys are under a passphrase, which it is
 * given each time, and not in clear on the disk.
 */
export function gpg(
  folder: string,
  alice: TestKey,
  bob: TestKey,
  secrets: 'open' | 'locked' = 'open',
): Peer {
  const environment = { GNUPGHOME: mkdtempSync(join(folder, 'gpg-')) }
  const run = (args: readonly string[], input?: Buffer): void => {
    const env = { ...process.env, ...environment }
    const { status } = spawnSync('gpg', ['--batch', '--quiet', ...args], { env, input })
    if (status !== 0) throw new Error(`gpg ${args.join(' ')}: exit code ${status}`)
  }
  const passphraseFile = join(environment.GNUPGHOME, 'passphrase')
  writeFileSync(passphraseFile, randomBytes(24).toString('base64'), { mode: 0o600 })
  const unlocking = ['--pinentry-mode', 'loopback', '--passphrase-file', passphraseFile]
  for (const { secret, fingerprint } of [alice, bob]) {
    run(['--import'], Buffer.concat([...writeArmor('PRIVATE KEY BLOCK', secret)]))
    if (secrets === 'locked') run([...unlocking, '--passwd', fingerprint])
  }
  const always = ['--no-tty', '--yes', '--trust-model', 'always']
  const command = [
    'gpg',
    '--batch',
    '--quiet',
    ...always,
    ...(secrets === 'locked' ? unlocking : []),
  ]
  const names = ['--sign', '--encrypt', '-u', alice.fingerprint, '-r', bob.fingerprint]
  return {
    name: 'gpg',
    ...(secrets === 'locked' && { note: ', secret keys under a passphrase' }),
    environment,
    seal: (plain) => [...command, '--armor', '-o', '-', ...names, plain],
    sealInto: (plain, sealed) => [...command, '--armor', '-o', sealed, ...names, plain],
    open: (sealed) => [...command, '-o', '-', '--decrypt', sealed],
    daemon: () => {
      const { stdout } = spawnSync('gpg-connect-agent', ['getinfo pid', '/bye'], {
        env: { ...process.env, ...environment },
        encoding: 'utf8',
      })
      const pid = Number(/^D (\d+)$/m.exec(stdout)?.[1])
      if (!Number.isInteger(pid)) throw new Error('gpg has no agent')
      return pid
    },
    close: () =>
      void spawnSync('gpgconf', ['--kill', 'all'], { env: { ...process.env, ...environment } }),
  }
}

/** Signed as multipart/signed, which is what is sealed. Of a signature it looks at no chain. */
export function opensslCms(
  folder: string,
  alice: Certified,
  bob: Certified,
  profile: Profile,
): Peer {
  const paths = { alice: join(folder, 'alice.pem'), bob: join(folder, 'bob.pem') }
  for (const [path, { certificate, privateKey }] of [
    [paths.alice, alice],
    [paths.bob, bob],
  ] as const)
    writeFileSync(path, `${certificate}\n${privateKey}\n`, { mode: 0o600 })
  const cipher = profile === 'modern' ? '-aes-256-gcm' : '-aes-256-cbc'
  const padding = profile === 'modern' ? '-keyopt rsa_padding_mode:oaep' : ''
  const signing = `openssl cms -sign -binary -signer ${paths.alice} -in`
  const sealing = `openssl cms -encrypt -binary -outform DER ${cipher} -recip ${paths.bob} ${padding}`
  const verifying = 'openssl cms -verify -noverify'
  const opening = `openssl cms -decrypt -binary -inform DER -recip ${paths.bob} -in`
  const shell = (line: string): string[] => ['sh', '-c', line]
  return {
    name: 'openssl cms',
    seal: (plain) => shell(`${signing} ${plain} | ${sealing}`),
    sealInto: (plain, sealed) => shell(`${signing} ${plain} | ${sealing} -out ${sealed}`),
    open: (sealed) => shell(`${opening} ${sealed} | ${verifying}`),
  }
}
