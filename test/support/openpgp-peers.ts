// Other people's OpenPGP programs, each as the same two questions: seal and sign this, open and verify that.
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A key with both its halves, armored, and its fingerprint. */
export interface PeerKey {
  readonly fingerprint: string
  readonly secret: string
  readonly certificate: string
}

export interface OpenPgpPeer {
  readonly name: string
  /** The program, and what to install. */
  readonly program: string
  readonly debianPackage: string
  /** Of gpg, its keyrings: for a test that needs more than these questions. */
  readonly home?: string
  /** A message, encrypted to all and signed by all signers. */
  seal(content: Uint8Array, to: readonly PeerKey[], by: readonly PeerKey[]): Promise<Uint8Array>
  /** Throws if it does not open, or if there is no good signature by the key. */
  open(message: Uint8Array, key: PeerKey, by: PeerKey): Promise<Uint8Array>
  close(): Promise<void>
}

const MAX_BYTES = 100 * 1024 * 1024

function run(
  program: string,
  args: readonly string[],
  input: Uint8Array,
  home: string,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      program,
      args,
      {
        encoding: 'buffer',
        maxBuffer: MAX_BYTES,
        timeout: 120_000,
        env: { ...process.env, HOME: home, GNUPGHOME: home },
      },
      (error, stdout, stderr) => {
        if (error) reject(new Error(`${program} ${args[0]}: ${stderr.toString()}`))
        else resolve(stdout)
      },
    )
    child.stdin?.on('error', () => {}) // it may end before it has read all
    child.stdin?.end(input)
  })
}

interface Folder {
  readonly path: string
  /** Written once for each content. */
  file(name: string, content: string): string
  remove(): void
}

function folder(): Folder {
  const path = mkdtempSync(join(tmpdir(), 'hisho-pgp-'))
  return {
    path,
    file(name, content) {
      const file = join(path, name)
      writeFileSync(file, content, { mode: 0o600 })
      return file
    },
    remove: () => rmSync(path, { recursive: true, force: true }),
  }
}

/** Programs of the Stateless OpenPGP Command Line Interface, draft-dkg-openpgp-stateless-cli. */
export function sopPeer(program: string, debianPackage: string): OpenPgpPeer {
  const files = folder()
  const secret = (key: PeerKey): string => files.file(`${key.fingerprint}.key`, key.secret)
  const certificate = (key: PeerKey): string =>
    files.file(`${key.fingerprint}.cert`, key.certificate)
  return {
    name: program,
    program,
    debianPackage,
    seal: (content, to, by) =>
      run(
        program,
        ['encrypt', ...by.map((key) => `--sign-with=${secret(key)}`), ...to.map(certificate)],
        content,
        files.path,
      ),
    async open(message, key, by) {
      const verifications = join(files.path, `verified-${randomUUID()}`)
      const args = [
        'decrypt',
        `--${program === 'gosop' ? 'verify-out' : 'verifications-out'}=${verifications}`, // its name in older drafts
        `--verify-with=${certificate(by)}`,
        secret(key),
      ]
      const content = await run(program, args, message, files.path)
      const lines = readFileSync(verifications, 'utf8')
      if (!lines.toUpperCase().includes(by.fingerprint.toUpperCase()))
        throw new Error(`${program} has not verified the signature: ${lines}`)
      return content
    },
    close: async () => files.remove(),
  }
}

export function gpgPeer(): OpenPgpPeer {
  const files = folder()
  const known = new Set<string>()
  const gpg = (args: readonly string[], input: Uint8Array = new Uint8Array()): Promise<Buffer> =>
    run('gpg', ['--batch', '--no-tty', '--trust-model', 'always', ...args], input, files.path)
  const learn = async (text: string): Promise<void> => {
    if (known.has(text)) return
    known.add(text)
    await gpg(['--import'], Buffer.from(text))
  }
  return {
    name: 'gpg',
    program: 'gpg',
    debianPackage: 'gnupg',
    home: files.path,
    async seal(content, to, by) {
      for (const key of to) await learn(key.certificate)
      for (const key of by) await learn(key.secret)
      return gpg(
        [
          '--armor',
          '--output',
          '-',
          ...to.flatMap((key) => ['--recipient', key.fingerprint]),
          ...by.flatMap((key) => ['--local-user', key.fingerprint]),
          '--sign',
          '--encrypt',
        ],
        content,
      )
    },
    async open(message, key, by) {
      await learn(key.secret)
      await learn(by.certificate)
      const status = join(files.path, `status-${randomUUID()}`)
      const content = await gpg(['--status-file', status, '--output', '-', '--decrypt'], message)
      const lines = readFileSync(status, 'utf8')
      const valid = lines.split('\n').find((line) => line.includes('VALIDSIG')) ?? ''
      if (!valid.toUpperCase().includes(by.fingerprint.toUpperCase()))
        throw new Error(`gpg has not verified the signature: ${lines}`)
      return content
    },
    async close() {
      await run('gpgconf', ['--kill', 'gpg-agent'], new Uint8Array(), files.path)
      files.remove()
    },
  }
}

export function rnpPeer(): OpenPgpPeer {
  const files = folder()
  const keyring = (keys: readonly string[]): string =>
    files.file(`ring-${randomUUID()}.asc`, keys.join('\n'))
  const rnp = (
    keys: readonly string[],
    args: readonly string[],
    input: Uint8Array,
  ): Promise<Buffer> => {
    const file = files.file(`input-${randomUUID()}`, '')
    writeFileSync(file, input)
    const options = ['--homedir', files.path, '--notty', '--keyfile', keyring(keys)]
    return run('rnp', [...options, '--output', '-', ...args, file], new Uint8Array(), files.path)
  }
  return {
    name: 'rnp',
    program: 'rnp',
    debianPackage: 'rnp',
    seal: (content, to, by) =>
      rnp(
        [...by.map(({ secret }) => secret), ...to.map(({ certificate }) => certificate)],
        [
          '--encrypt',
          '--sign',
          '--armor',
          ...to.flatMap((key) => ['--recipient', key.fingerprint]),
          ...by.flatMap((key) => ['--userid', key.fingerprint]),
        ],
        content,
      ),
    // It fails for a signature that it cannot verify.
    open: (message, key, by) => rnp([key.secret, by.certificate], ['--decrypt'], message),
    close: async () => files.remove(),
  }
}
