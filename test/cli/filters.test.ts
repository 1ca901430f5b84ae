import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { AGE_KEY, hisho, openReadySite, type Site } from './site.ts'

const LINES = [
  'From: Bob <bob@b.example>',
  'To: Alice <alice@a.example>, carol@a.example',
  'Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?=',
  'X-Odd:   two  blanks\t',
  '',
  'Body with ünïcode, a dot:',
  '.',
  'From the start of a line, and an end without one',
]
const LF = LINES.join('\n')
const CRLF = LINES.join('\r\n')

describe('hisho encrypt and decrypt', () => {
  let site: Site
  let sealed: Buffer
  before(async () => {
    site = await openReadySite('a.example')
    const result = await site.run(['encrypt'], { input: CRLF })
    assert.equal(result.code, 0, result.stderr)
    sealed = result.stdout
  })
  after(() => site.close())

  const decrypt = (input: string | Uint8Array, ...args: string[]) =>
    site.run(['decrypt', ...args], { input })

  it('a message with CRLF comes back byte for byte', async () => {
    assert.match(sealed.toString(), /^Subject: \[\.\.\.\]\r$/m)
    assert.ok(!sealed.includes('blanks') && !sealed.includes('ünïcode'))
    const { code, stdout, stderr } = await decrypt(sealed)
    assert.deepEqual([code, stderr], [0, ''])
    assert.equal(stdout.toString(), CRLF)
  })

  it('a message with LF, as on a Unix disk, comes back byte for byte, and its ciphertext has LF too', async () => {
    const encrypted = await site.run(['encrypt', '-r', 'alice@a.example'], { input: LF })
    assert.equal(encrypted.code, 0)
    assert.ok(!encrypted.stdout.includes('\r'))
    const { stdout } = await decrypt(encrypted.stdout)
    assert.equal(stdout.toString(), LF)
  })

  it('a message of some megabytes and every byte value comes back', async () => {
    const body = Buffer.alloc(3_000_000, Buffer.from(Array.from({ length: 256 }, (_, i) => i)))
    const message = Buffer.concat([Buffer.from('To: alice@a.example\r\n\r\n'), body])
    const encrypted = await site.run(['encrypt'], { input: message })
    assert.ok((await decrypt(encrypted.stdout)).stdout.equals(message))
  })

  it('is for those it was sealed for: others get exit 67 and nothing', async () => {
    const wrong = await decrypt(sealed, '-r', 'mallory@a.example')
    assert.deepEqual([wrong.code, wrong.stdout.length], [67, 0])
    const { code } = await decrypt(sealed, '-r', 'Carol@A.example')
    assert.equal(code, 0)
  })

  it('goes by the topmost Delivered-To when there is one', async () => {
    const delivered = (to: string) =>
      decrypt(Buffer.concat([Buffer.from(`Delivered-To: ${to}\r\n`), sealed]))
    assert.equal((await delivered('alice@a.example')).code, 0)
    assert.equal((await delivered('mallory@a.example')).code, 67)
  })

  it('a ciphertext that was altered gives exit 65 and not one byte, wherever it was', async () => {
    const text = sealed.toString('latin1')
    const start = text.indexOf('\r\n\r\n', text.indexOf('base64')) + 4
    const end = text.indexOf('\r\n\r\n--', start)
    for (const at of [start + 400, end - 60, end - 8]) {
      const altered = Buffer.from(sealed)
      altered[at] = altered[at] === 0x41 ? 0x42 : 0x41
      const { code, stdout, stderr } = await decrypt(altered)
      assert.deepEqual([code, stdout.length], [65, 0], stderr)
      assert.match(stderr, /^hisho: ibe\/decrypt: it does not open: [^\n]*\n$/)
    }
    const cut = await decrypt(sealed.subarray(0, sealed.length - 200))
    assert.deepEqual([cut.code, cut.stdout.length], [65, 0])
  })

  it('a clear message goes through decrypt as it came', async () => {
    const input = 'Hisho-Decrypted: forged\nTo: x@a.example\n\nhello\r\n'
    const { code, text } = await decrypt(input)
    assert.deepEqual([code, text], [0, input])
  })

  it('--deliver keeps the trace, marks what was opened and removes forged marks', async () => {
    const input = `Received: from b.example; now\r\nHisho-Decrypted: forged\r\n${sealed.toString('latin1')}`
    const { text } = await decrypt(Buffer.from(input, 'latin1'), '--deliver')
    assert.match(
      text,
      /^Received: from b\.example; now\r\nIbemail-Decrypted: true\r\nHisho-Decrypted: ibe-bf; n=1;/,
    )
    assert.ok(text.endsWith(CRLF))
    assert.doesNotMatch(text, /forged/)
    const clear = await decrypt('Hisho-Decrypted: forged\nTo: x@a.example\n\nhello\n', '--deliver')
    assert.equal(clear.text, 'To: x@a.example\n\nhello\n')
  })

  it('waits for a locked vault with exit 75', async () => {
    const input = sealed
    const { code, stdout } = await site.run(['decrypt'], { input, env: { HISHO_PASSPHRASE: 'no' } })
    assert.deepEqual([code, stdout.length], [75, 0])
  })

  it('never writes a clear message when it cannot seal', async () => {
    site.dns.zone['_ibemailkey.silent.example'] = { misbehave: 'drop' }
    site.dns.zone['_ibemailkey.broken.example'] = { TXT: ['ver=2.0; a=bf'] }
    const codes: unknown[] = []
    for (const to of ['x@nokey.example', 'x@silent.example', 'x@broken.example', 'no address']) {
      const { code, stdout } = await site.run(['encrypt', '-r', to], { input: LF })
      codes.push([to, code, stdout.length])
    }
    assert.deepEqual(codes, [
      ['x@nokey.example', 69, 0],
      ['x@silent.example', 75, 0],
      ['x@broken.example', 69, 0],
      ['no address', 64, 0],
    ])
  })

  it('wants recipients of one domain, and does not show a hidden one to others', async () => {
    const several = await site.run(['encrypt'], { input: 'To: a@a.example, b@b.example\n\nx\n' })
    assert.equal(several.code, 64)
    assert.match(several.stderr, /a\.example, b\.example/)
    assert.equal((await site.run(['encrypt'], { input: 'Subject: x\n\nx\n' })).code, 64)
    const hidden = ['encrypt', '-r', 'alice@a.example', '-r', 'boss@a.example']
    const both = await site.run(hidden, { input: LF })
    assert.equal(both.code, 64)
    assert.match(both.stderr, /boss@a\.example is not in To or Cc/)
    const alone = await site.run(['encrypt', '-r', 'boss@a.example'], { input: LF })
    assert.equal(alone.code, 0)
    assert.equal((await decrypt(alone.stdout, '-r', 'boss@a.example')).text, LF)
  })

  it('does not encrypt twice', async () => {
    const { code, stdout, stderr } = await site.run(['encrypt'], { input: sealed })
    assert.equal(code, 0)
    assert.ok(stdout.equals(sealed))
    assert.match(stderr, /encrypted already/)
  })

  it('ends in peace when nobody reads what it writes', async () => {
    const child = spawn(
      process.execPath,
      [join(__dirname, '..', '..', 'lib', 'cli', 'main.js'), '--haraka', site.path, 'decrypt'],
      { env: { HISHO_PASSPHRASE: AGE_KEY }, stdio: ['pipe', 'pipe', 'pipe'] },
    )
    child.stdout.destroy()
    let stderr = ''
    child.stderr.on('data', (piece) => (stderr += String(piece)))
    child.stdin.end(`To: a@a.example\n\n${'x'.repeat(1_000_000)}`)
    const [code] = (await once(child, 'close')) as [number]
    assert.deepEqual([code, stderr], [74, ''])
  })

  it('inspect tells what a message is, with no key and no Haraka', async () => {
    const ours = JSON.parse(
      (await hisho(['inspect', '-', '--json'], { input: sealed })).text,
    ) as Record<string, unknown> & { stanzas: { identity: string; n: number; type: string }[] }
    assert.equal(ours['kind'], 'hisho')
    assert.equal(ours['from'], 'Bob <bob@b.example>')
    assert.ok(Number(ours['containerBytes']) > 500)
    assert.deepEqual(
      ours.stanzas.map(({ type, n, identity }) => [type, n, identity.replace(/#.*/, '')]),
      [
        ['hisho/bf', 1, 'alice@a.example'],
        ['hisho/bf', 1, 'carol@a.example'],
      ],
    )
    site.write('clear.eml', LF)
    const clear = await hisho(['inspect', site.file('clear.eml')])
    assert.match(clear.text, /^Kind: {2}clear, \d+ bytes$/m)
    assert.equal((await hisho(['inspect', site.file('none.eml')])).code, 66)
    const cut = await hisho(['inspect', '--json'], { input: sealed.subarray(0, 700) })
    assert.match(cut.text, /"problem": "(?:mail|container)\/malformed/)
  })
})
