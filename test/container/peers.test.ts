import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { Decrypter, Encrypter, type Stanza } from 'age-encryption'
import { readArmor, readMaybeArmor, writeArmor } from '../../lib/container/armor.ts'
import { seal } from '../../lib/container/container.ts'
import { pskIdentity, pskRecipient } from '../../lib/container/psk.ts'
import { scryptIdentity, scryptRecipient } from '../../lib/container/scrypt.ts'
import {
  generateX25519Identity,
  x25519Identity,
  x25519Recipient,
} from '../../lib/container/x25519.ts'
import { peer } from '../support/peers.ts'
import { collect, opened, sealed } from './files.ts'

const run = promisify(execFile)
const messages = [0, 1, 65_536, 200_000].map((size) => new Uint8Array(randomBytes(size)))
const passphrase = 'correct horse battery'
const secret = new TextEncoder().encode(passphrase)

const noAge = peer('age', 'age')
const noTerminal = noAge === false ? peer('script', 'bsdutils') : noAge

/** Runs a command that insists on a terminal, and answers each of its questions with the passphrase. */
async function onTerminal(command: string): Promise<void> {
  const child = spawn('script', ['-qec', command, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let heard = ''
  child.stdout.on('data', (text: Buffer) => {
    heard += text.toString()
    if (!/passphrase[^\n]*: /i.test(heard)) return
    heard = ''
    child.stdin.write(`${passphrase}\n`)
  })
  const status = await new Promise((resolve, reject) => {
    child.on('error', reject).on('close', resolve)
  })
  assert.equal(status, 0, heard)
}

describe("Debian's age and we", () => {
  let folder = ''
  const path = (name: string): string => join(folder, name)

  // From standard output: for an empty message age does not create the file that -o names.
  const decrypted = async (key: string, name: string): Promise<Uint8Array> => {
    const options = { encoding: 'buffer', maxBuffer: 1_000_000 } as const
    const { stdout } = await run('age', ['-d', '-i', path(key), path(name)], options)
    return Uint8Array.from(stdout)
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hisho-age-'))
  })
  after(() => rm(folder, { recursive: true }))

  it('it opens what we write for an X25519 recipient', { skip: noAge }, async () => {
    const { identity, recipient } = generateX25519Identity()
    await writeFile(path('key'), `${identity}\n`)
    for (const message of messages) {
      const file = await sealed(x25519Recipient(recipient), message)
      await writeFile(path('ours'), file)
      assert.deepEqual(await decrypted('key', 'ours'), message)

      await writeFile(path('ours'), await collect(writeArmor([file])))
      assert.deepEqual(await decrypted('key', 'ours'), message)
    }
  })

  it('we open what it writes for an X25519 recipient', { skip: noAge }, async () => {
    await rm(path('key'), { force: true })
    await run('age-keygen', ['-o', path('key')])
    const [identity = ''] = /AGE-SECRET-KEY-1\w+/.exec(await readFile(path('key'), 'utf8')) ?? []
    const [recipient = ''] = /age1\w+/.exec(await readFile(path('key'), 'utf8')) ?? []
    const other = generateX25519Identity()
    for (const message of messages) {
      await writeFile(path('in'), message)
      const to = ['-r', other.recipient, '-r', recipient]
      await run('age', [...to, '-o', path('theirs'), path('in')])
      const file = await readFile(path('theirs'))
      assert.deepEqual(await opened(x25519Identity(identity), [file]), message)

      await run('age', ['-a', ...to, '-o', path('theirs'), path('in')])
      const armored = await readFile(path('theirs'))
      const stream = readMaybeArmor([armored])
      assert.deepEqual(await opened(x25519Identity(other.identity), stream), message)
    }
  })

  it('it opens what we write for a passphrase', { skip: noTerminal }, async () => {
    const [, message = new Uint8Array(0)] = messages
    const armored = writeArmor(seal([scryptRecipient(secret, 14)], [message]))
    await writeFile(path('ours'), await collect(armored))
    await onTerminal(`age -d -o ${path('opened')} ${path('ours')}`)
    assert.deepEqual(Uint8Array.from(await readFile(path('opened'))), message)
  })

  it('we open what it writes for a passphrase', { skip: noTerminal }, async () => {
    const [, , message = new Uint8Array(0)] = messages
    await writeFile(path('in'), message)
    await onTerminal(`age -p -o ${path('sealed')} ${path('in')}`)
    assert.deepEqual(
      await opened(scryptIdentity(secret), [await readFile(path('sealed'))]),
      message,
    )
    await onTerminal(`age -a -p -o ${path('armored')} ${path('in')}`)
    const stream = readArmor([await readFile(path('armored'))])
    assert.deepEqual(await opened(scryptIdentity(secret), stream), message)
  })
})

describe('the npm package age-encryption and we', () => {
  it('open what the other writes for an X25519 recipient', async () => {
    const { identity, recipient } = generateX25519Identity()
    for (const message of messages) {
      const theirs = new Encrypter()
      theirs.addRecipient(recipient)
      const file = await theirs.encrypt(message)
      assert.deepEqual(await opened(x25519Identity(identity), [file]), message)
      const reader = new Decrypter()
      reader.addIdentity(identity)
      assert.deepEqual(
        await reader.decrypt(await sealed(x25519Recipient(recipient), message)),
        message,
      )
    }
  })

  it('open what the other writes for a passphrase', async () => {
    for (const message of messages) {
      const theirs = new Encrypter()
      theirs.setPassphrase(passphrase)
      theirs.setScryptWorkFactor(10)
      const file = await theirs.encrypt(message)
      assert.deepEqual(await opened(scryptIdentity(secret), [file]), message)
      const reader = new Decrypter()
      reader.addPassphrase(passphrase)
      assert.deepEqual(
        await reader.decrypt(await sealed(scryptRecipient(secret, 10), message)),
        message,
      )
    }
  })

  it('open what the other writes with a stanza type of ours put into it', async () => {
    const key = new Uint8Array(randomBytes(32))
    const [recipient, identity] = [pskRecipient('a.example', key), pskIdentity(() => key)]
    for (const message of messages) {
      const theirs = new Encrypter()
      theirs.addRecipient({
        wrapFileKey: async (fileKey) =>
          (await recipient.wrap(fileKey)).map(({ type, args, body }) => ({
            args: [type, ...args],
            body,
          })),
      })
      const file = await theirs.encrypt(message)
      assert.deepEqual(await opened(identity, [file]), message)
      const reader = new Decrypter()
      reader.addIdentity({
        unwrapFileKey: async (stanzas: Stanza[]) => {
          const ours = stanzas.map(({ args: [type = '', ...args], body }) => ({ type, args, body }))
          return (await identity.unwrap(ours)) ?? null
        },
      })
      assert.deepEqual(await reader.decrypt(await sealed(recipient, message)), message)
    }
  })
})
