import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { readMessage, peekBody, collect } from '../../lib/mail/message.ts'
import { PEEK_BYTES, protectionOf, type Protection } from '../../lib/mail/protected-content.ts'
import { formatEncrypted } from '../../lib/mail/multipart-encrypted.ts'
import { readVectors } from '../support/vectors.ts'
import { peer } from '../support/peers.ts'
import { bytesOf, whole } from './pieces.ts'

async function judge(text: string): Promise<Protection | undefined> {
  const { start, message } = await peekBody(await readMessage([bytesOf(text)]), PEEK_BYTES)
  return protectionOf(message, start)
}

function multipart(protocol: string, control: string, payload: string): string {
  return [
    `Content-Type: multipart/encrypted; protocol="${protocol}"; boundary=b1`,
    '',
    '--b1',
    `Content-Type: ${protocol}`,
    '',
    control,
    '',
    '--b1',
    'Content-Type: application/octet-stream',
    '',
    payload,
    '--b1--',
    '',
  ].join('\r\n')
}

const PGP = 'application/pgp-encrypted'
const noGpg = peer('gpg', 'gnupg')
const noOpenssl = peer('openssl', 'openssl')

describe('whether a message is encrypted already', () => {
  let folder = ''
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'hisho-protected-'))
  })
  after(() => rmSync(folder, { recursive: true }))

  it('what we write is', async () => {
    async function* ciphertext() {
      yield bytesOf('age-encryption.org/v1\n-> X25519 x\n')
    }
    const message = formatEncrypted([], ciphertext(), 'b1')
    assert.equal(await judge(Buffer.from(await whole(message)).toString('latin1')), 'hisho')
  })

  describe('mail of version 1', () => {
    const type = 'Content-Type: application/ibemail-encrypted\r\n\r\n'
    const { message: sealed } = readVectors<{ cases: readonly { message: string }[] }>(
      'bb2-message',
    ).cases[0]!
    const payload = Buffer.from(sealed.slice(sealed.indexOf('\r\n\r\n')), 'base64')
    const changed = (at: number, octet: number): string => {
      const copy = Buffer.from(payload)
      copy[at] = octet
      return type + copy.toString('base64')
    }
    it('is', async () => assert.equal(await judge(sealed), 'ibemail'))
    it('is, of a head only', async () => {
      const text = type + payload.subarray(0, 508).toString('base64')
      assert.equal(await judge(text), 'ibemail')
    })
    for (const [title, text] of [
      ['nothing', type],
      ['a plain text', `${type}the secret\r\n`],
      ['a long plain text', type + 'the secret\r\n'.repeat(200)],
      ['one long word', type + 'secret'.repeat(1_000)],
      ['a plain text in base64', type + Buffer.alloc(2_000, 'the secret').toString('base64')],
      ['too short a ciphertext', type + payload.subarray(0, 507).toString('base64')],
      ['a ciphertext of which a part is no number', changed(95, 0x26)],
      ['a ciphertext of which a part is no point', changed(31, 0x26)],
      ['a ciphertext as plain text', sealed.replace('application/ibemail', 'text/plain; x=')],
    ] as const) {
      it(`${title} is not`, async () => assert.equal(await judge(text), undefined))
    }
  })

  it('PGP/MIME is, as gpg makes it', { skip: noGpg }, async () => {
    const home = ['--homedir', folder, '--batch', '--no-tty', '--quiet']
    const armored = execFileSync(
      'gpg',
      [...home, '--symmetric', '--armor', '--pinentry-mode', 'loopback', '--passphrase', 'x'],
      { input: 'secret', encoding: 'utf8', stdio: ['pipe', 'pipe', 'ignore'] },
    )
    execFileSync('gpgconf', ['--homedir', folder, '--kill', 'all'])
    const message = multipart(PGP, 'Version: 1', armored.replaceAll('\n', '\r\n'))
    assert.equal(await judge(message), 'pgp-mime')
  })

  for (const cipher of [
    ['-aes-256-cbc', 'enveloped-data'],
    ['-aes-256-gcm', 'authEnveloped-data'],
  ] as const) {
    it(`S/MIME ${cipher[1]} is, as openssl makes it`, { skip: noOpenssl }, async () => {
      const made = openssl(folder, ['cms', '-encrypt', cipher[0]])
      assert.match(made, new RegExp(`smime-type="?${cipher[1]}`, 'i'))
      assert.equal(await judge(made), 's-mime')
    })
  }

  it('an opaque S/MIME signature is not', { skip: noOpenssl }, async () => {
    const made = openssl(folder, [
      'cms',
      '-sign',
      '-nodetach',
      '-signer',
      'cert.pem',
      '-inkey',
      'key.pem',
    ])
    assert.match(made, /smime-type="?signed-data/)
    assert.equal(await judge(made), undefined)
    // Nor with a lie in its Content-Type.
    assert.equal(await judge(made.replace('signed-data', 'enveloped-data')), undefined)
  })

  const plain: readonly [title: string, message: string][] = [
    ['a plain text', 'Content-Type: text/plain\r\n\r\nhello\r\n'],
    ['a message without a Content-Type', 'Subject: x\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n'],
    [
      'an armored message inside a plain text',
      'Content-Type: text/plain\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n',
    ],
    ['a plain text that is called PGP/MIME', multipart(PGP, 'Version: 1', 'the secret')],
    [
      'a signed text that is called PGP/MIME',
      multipart(PGP, 'Version: 1', '-----BEGIN PGP SIGNED MESSAGE-----'),
    ],
    [
      'a plain text that is called ours',
      multipart('application/hisho-encrypted', 'Version: 2', 'the secret'),
    ],
    [
      'a plain text in base64 that is called ours',
      multipart(
        'application/hisho-encrypted',
        'Version: 2',
        Buffer.from('the secret').toString('base64'),
      ),
    ],
    [
      'an armored message that is called ours',
      multipart('application/hisho-encrypted', 'Version: 2', '-----BEGIN PGP MESSAGE-----'),
    ],
    [
      'a plain text that is called S/MIME',
      'Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\nhello\r\n',
    ],
    [
      'nothing that is called S/MIME',
      'Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\n',
    ],
    [
      'two Content-Types',
      `Content-Type: text/plain\r\n${multipart(PGP, 'Version: 1', '-----BEGIN PGP MESSAGE-----')}`,
    ],
    [
      'ciphertext below the root',
      `Content-Type: multipart/mixed; boundary=b0\r\n\r\n--b0\r\n${multipart(PGP, 'Version: 1', '-----BEGIN PGP MESSAGE-----')}`,
    ],
  ]
  for (const [title, message] of plain) {
    it(`${title} is not`, async () => assert.equal(await judge(message), undefined))
  }

  it('the body is still whole afterwards', async () => {
    const text = multipart(PGP, 'Version: 1', 'x'.repeat(50_000))
    const { message } = await peekBody(await readMessage([bytesOf(text)]), PEEK_BYTES)
    const body = Buffer.from(await collect(message.body)).toString('latin1')
    assert.equal(body, text.slice(text.indexOf('\r\n\r\n') + 4))
  })
})

/** An S/MIME message by openssl, with CRLF lines. */
function openssl(folder: string, command: readonly string[]): string {
  const run = (parameters: readonly string[]): string =>
    execFileSync('openssl', parameters, {
      cwd: folder,
      encoding: 'utf8',
      stdio: ['pipe', 'pipe', 'ignore'],
    })
  writeFileSync(join(folder, 'text'), 'Content-Type: text/plain\r\n\r\nsecret\r\n')
  run([
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-subj',
    '/CN=a@x.example',
    '-keyout',
    'key.pem',
    '-out',
    'cert.pem',
  ])
  const last = command.includes('-encrypt') ? ['cert.pem'] : []
  const made = run([...command, '-in', 'text', '-outform', 'SMIME', ...last])
  return made.replaceAll(/\r?\n/g, '\r\n')
}
