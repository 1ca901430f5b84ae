// Other people's S/MIME programs, each in a folder of its own.
import { execFile } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Certified } from './certificates.ts'

const MAX_BYTES = 200 * 1024 * 1024

class Folder {
  readonly path = mkdtempSync(join(tmpdir(), 'hisho-smime-'))

  file(content: Uint8Array | string): string {
    const file = join(this.path, randomUUID())
    writeFileSync(file, content, { mode: 0o600 })
    return file
  }

  run(program: string, args: readonly string[], input: Uint8Array | string = ''): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const env = { ...process.env, HOME: this.path, GNUPGHOME: join(this.path, 'gnupg') }
      const options = { encoding: 'buffer', maxBuffer: MAX_BYTES, timeout: 120_000, env } as const
      const child = execFile(program, args, options, (error, stdout, stderr) => {
        if (error) reject(new Error(`${program} ${args[0]}: ${stderr.toString()}`))
        else resolve(stdout)
      })
      child.stdin?.on('error', () => {}) // it may end before it has read all
      child.stdin?.end(input)
    })
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

export interface OpensslCms {
  /** A MIME entity, its line ends CRLF: signed, and with the header of S/MIME in front. */
  sign(entity: Uint8Array, by: Certified, form: 'clear' | 'opaque'): Promise<Buffer>
  encrypt(entity: Uint8Array, to: readonly Certified[], options: readonly string[]): Promise<Buffer>
  /** Throws if it does not open. */
  decrypt(mail: Uint8Array | string, key: Certified): Promise<Buffer>
  /** What was signed. Throws if there is no good signature under the authority. */
  verify(entity: Uint8Array, authority: Certified): Promise<Buffer>
  close(): void
}

export function opensslCms(): OpensslCms {
  const folder = new Folder()
  const openssl = async (...args: readonly string[]): Promise<Buffer> => {
    const out = join(folder.path, randomUUID())
    await folder.run('openssl', ['cms', ...args, '-out', out])
    return readFileSync(out)
  }
  const keyFiles = ({ certificate, privateKey }: Certified): [string, string] => [
    folder.file(certificate),
    folder.file(privateKey),
  ]
  return {
    sign(entity, by, form) {
      const [signer, key] = keyFiles(by)
      const options = ['-binary', '-crlfeol', ...(form === 'opaque' ? ['-nodetach'] : [])]
      return openssl(
        '-sign',
        ...options,
        '-in',
        folder.file(entity),
        '-signer',
        signer,
        '-inkey',
        key,
      )
    },
    encrypt(entity, to, options) {
      const recipients = to.flatMap(({ certificate }) => ['-recip', folder.file(certificate)])
      const own = options.filter(
        (_, at) => options[at - 1] !== '-keyopt' && options[at] !== '-keyopt',
      )
      const ofKey = options.flatMap((one, at) =>
        options[at - 1] === '-keyopt' ? ['-keyopt', one] : [],
      )
      const file = folder.file(entity)
      return openssl(
        '-encrypt',
        '-binary',
        '-crlfeol',
        '-in',
        file,
        ...own,
        ...recipients,
        ...ofKey,
      )
    },
    decrypt(mail, to) {
      const [recipient, key] = keyFiles(to)
      return openssl('-decrypt', '-in', folder.file(mail), '-recip', recipient, '-inkey', key)
    },
    verify: (entity, authority) =>
      openssl('-verify', '-in', folder.file(entity), '-CAfile', folder.file(authority.certificate)),
    close: () => folder.remove(),
  }
}

export interface Gpgsm {
  /** Throws if it does not take it. */
  importKey(key: Certified): Promise<void>
  importPkcs12(file: Uint8Array): Promise<void>
  importCertificate(certificate: Certified): Promise<void>
  /** CMS, DER. */
  encrypt(content: Uint8Array, to: readonly string[]): Promise<Buffer>
  sign(content: Uint8Array, by: Certified): Promise<Buffer>
  decrypt(cms: Uint8Array): Promise<Buffer>
  /** Throws if there is no good signature. */
  verify(content: Uint8Array, signature: Uint8Array): Promise<void>
  /** The content. Throws if there is no good signature. */
  verifyOpaque(cms: Uint8Array): Promise<Buffer>
  close(): Promise<void>
}

const PASSPHRASE = 'x'

function fingerprintOf({ der }: Certified): string {
  return createHash('sha1').update(der).digest('hex').toUpperCase()
}

export async function gpgsm(authority: Certified): Promise<Gpgsm> {
  const folder = new Folder()
  const home = join(folder.path, 'gnupg')
  mkdirSync(home, { mode: 0o700 })
  writeFileSync(join(home, 'gpgsm.conf'), 'disable-crl-checks\ndisable-dirmngr\nbatch\n')
  writeFileSync(join(home, 'gpg-agent.conf'), 'allow-loopback-pinentry\n')
  writeFileSync(join(home, 'trustlist.txt'), `${fingerprintOf(authority)} S relax\n`)
  const run = (...args: readonly string[]): Promise<Buffer> =>
    folder.run(
      'gpgsm',
      ['--pinentry-mode', 'loopback', '--passphrase-fd', '0', ...args],
      `${PASSPHRASE}\n`,
    )
  await run('--import', folder.file(authority.certificate))
  return {
    async importKey(key) {
      const file = join(folder.path, randomUUID())
      // What it knows of PKCS #12 is what everybody knew twenty years ago.
      const old = ['-keypbe', 'PBE-SHA1-3DES', '-certpbe', 'PBE-SHA1-3DES', '-macalg', 'sha1']
      const pair = ['-inkey', folder.file(key.privateKey), '-in', folder.file(key.certificate)]
      await folder.run('openssl', [
        'pkcs12',
        '-export',
        ...pair,
        ...old,
        '-passout',
        `pass:${PASSPHRASE}`,
        '-out',
        file,
      ])
      await run('--import', file)
    },
    importPkcs12: async (file) => void (await run('--import', folder.file(file))),
    importCertificate: async ({ certificate }) =>
      void (await run('--import', folder.file(certificate))),
    encrypt(content, to) {
      const recipients = to.flatMap((one) => ['-r', one])
      return run('--cipher-algo', 'AES256', ...recipients, '--encrypt', folder.file(content))
    },
    sign: (content, by) => run('-u', fingerprintOf(by), '--sign', folder.file(content)),
    decrypt: (cms) => run('--decrypt', folder.file(cms)),
    verify: async (content, signature) =>
      void (await run('--verify', folder.file(signature), folder.file(content))),
    async verifyOpaque(cms) {
      const out = join(folder.path, randomUUID())
      await run('--output', out, '--verify', folder.file(cms))
      return readFileSync(out)
    },
    async close() {
      await folder.run('gpgconf', ['--kill', 'all'])
      folder.remove()
    },
  }
}
