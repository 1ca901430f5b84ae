// docs/kgc.md, word by word: its commands, run in its order, make a KGC and a gateway that work.
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, it } from 'node:test'
import { startDnsServer } from '../support/dns-server.ts'
import { freePort, ROOT } from '../support/haraka.ts'
import { peer } from '../support/peers.ts'
import { hishoIni } from '../support/site.ts'
import { AGE_KEY } from './site.ts'

const run = promisify(execFile)
const PAGE = readFileSync(join(ROOT, 'docs', 'kgc.md'), 'utf8')
const MAIN = join(ROOT, 'dist', 'lib', 'cli', 'main.js')

/** The blocks of one language in the page. */
function blocks(language: 'sh' | 'ini'): readonly string[] {
  return [...PAGE.matchAll(/^```(\w+)\n([^]*?)^```$/gm)]
    .filter(([, name]) => name === language)
    .map(([, , text]) => text ?? '')
}

describe('the page about the KGC', { skip: peer('openssl', 'openssl') }, () => {
  it('leads to a gateway whose keys come from a KGC', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'hisho-docs-'))
    const dns = await startDnsServer()
    const port = await freePort()
    const file = (name: string): string => join(folder, name)
    for (const name of ['bin', 'haraka/config']) mkdirSync(file(name), { recursive: true })
    writeFileSync(file('bin/npx'), `#!/bin/sh\nshift\nexec ${process.execPath} ${MAIN} "$@"\n`)
    chmodSync(file('bin/npx'), 0o755)
    writeFileSync(file('haraka/config/hisho.ini'), hishoIni(dns.port))
    const PATH = `${file('bin')}:${process.env['PATH']}`
    // Other directories, and a name that every machine knows; a hisho.ini is there, with the DNS of this test.
    const here = (text: string): string =>
      text
        .replaceAll('/etc/hisho-kgc', file('kgc'))
        .replaceAll('/etc/haraka', file('haraka'))
        .replaceAll('kgc.a.example', 'localhost')
        .replaceAll('8741', String(port))
        .replace('--kgc-key kgc-gateway.key', '--kgc-key kgc-gateway.key --apply')
    const sh = async (text: string): Promise<string> => {
      const env = { PATH, HISHO_PASSPHRASE: AGE_KEY }
      const { stdout } = await run('sh', ['-euc', here(text)], { cwd: folder, env })
      return stdout
    }
    const copy = (from: string, to: string): void => copyFileSync(file(from), file(to))
    const [authority, forKgc, forGateway, signing, initKgc, initGateway, doctor, ...more] =
      blocks('sh')
    assert.equal(more.length, 0)

    await sh(authority!)
    await sh(forKgc!)
    await sh(forGateway!)
    copy('kgc/config/kgc.csr', 'authority/kgc.csr')
    copy('haraka/config/kgc-gateway.csr', 'authority/kgc-gateway.csr')
    await sh(signing!)
    copy('authority/kgc.pem', 'kgc/config/kgc.pem')
    copy('authority/ca.pem', 'kgc/config/ca.pem')
    copy('authority/kgc-gateway.pem', 'haraka/config/kgc-gateway.pem')
    copy('authority/ca.pem', 'haraka/config/kgc-ca.pem')

    const records = [...(await sh(initKgc!)).matchAll(/IN TXT "(ver=2\.0; a=[^"]+)"/g)]
    dns.zone['_ibemailkey.a.example'] = { TXT: records.map(([, text]) => text!) }
    const [settings] = blocks('ini')
    writeFileSync(file('kgc/config/hisho.kgc.ini'), here(settings!).replace('0.0.0.0', '127.0.0.1'))
    const kgc = spawn(process.execPath, [MAIN, '--haraka', file('kgc'), 'kgc', 'serve'], {
      env: { HISHO_PASSPHRASE: AGE_KEY },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const ended = once(kgc, 'exit')
    await once(kgc.stdout, 'data')
    try {
      assert.match(await sh(initGateway!), /a\.example +bf n=1 .* new +published so/)
      const report = await sh(`${doctor!.trim()} || true`)
      assert.match(report, /^ok +keys of a\.example +bf n=1, cc n=1 as pinned$/m)
      assert.match(report, /^ok +kgc certificate +DNS:mx\.a\.example/m)
      assert.match(report, /^ok +kgc key file +mode 0600$/m)
      assert.doesNotMatch(report, /vault/)
    } finally {
      kgc.kill('SIGTERM')
      assert.deepEqual(await ended, [0, null])
      await dns.close()
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
