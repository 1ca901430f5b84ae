// Keys of others as others publish them: records and a Web Key Directory made by GnuPG, certificates made by openssl, zones
// signed by ldns, served by nsd, validated by unbound.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createResolver } from '../../lib/dns/resolver.ts'
import { TempError } from '../../lib/errors.ts'
import { normalizeAddress } from '../../lib/ibe/identity.ts'
import { dnsRecordOf } from '../../lib/key-directory/dns.ts'
import { webPlacesOf } from '../../lib/key-directory/names.ts'
import { KEY_SOURCES, type KeyKind } from '../../lib/mail/correspondent-keys.ts'
import { createOpenPgpKeyFormat } from '../../lib/openpgp/key-format.ts'
import type { OpenPgpPool } from '../../lib/openpgp/openpgp.ts'
import { createSmimeKeyFormat } from '../../lib/smime/key-format.ts'
import { startKeyWorld, type KeyWorld } from '../key-directory/world.ts'
import { startPool } from '../openpgp/world.ts'
import { makeAuthority, type Authority } from '../support/authority.ts'
import { nsdMissing, startNsd, type Nsd } from '../support/nsd.ts'
import { peer } from '../support/peers.ts'
import { makeSignedZones } from '../support/signed-zones.ts'
import { startUnbound, unboundMissing, type Unbound } from '../support/unbound.ts'

const WKS_FOLDERS = ['/usr/lib/gnupg', '/usr/libexec']
const missing =
  nsdMissing ||
  unboundMissing ||
  peer('gpg', 'gnupg') ||
  peer('openssl', 'openssl') ||
  peer('gpg-wks-client', 'gpg-wks-client', WKS_FOLDERS)
const REQUEST = `[req]
prompt=no
distinguished_name=dn
x509_extensions=v3
[dn]
CN=Alice
[v3]
basicConstraints=critical,CA:FALSE
subjectAltName=email:alice@signed.example
`
const WEB = 'openpgpkey.web.example'

describe('keys that others publish', { skip: missing }, () => {
  let folder = ''
  let pool: OpenPgpPool
  let authority: Authority
  let nsd: Nsd
  let unbound: Unbound
  let world: KeyWorld
  let certificate: X509Certificate

  const run = (program: string, ...args: string[]): Buffer =>
    execFileSync(program, args, {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: {
        ...process.env,
        GNUPGHOME: join(folder, 'gnupg'),
        PATH: [process.env['PATH'], ...WKS_FOLDERS].join(':'),
      },
    })
  const gpg = (...args: string[]): string => run('gpg', '--batch', ...args).toString('utf8')
  const fingerprintOf = (address: string): string => {
    const listed = gpg('--with-colons', '--list-keys', address)
    return /^fpr:+([0-9A-F]{40}):/m.exec(listed)?.[1]?.toLowerCase() ?? ''
  }
  /** For the end of a zone: it changes the origin. */
  const daneOf = (address: string): string =>
    gpg('--export-options', 'export-dane', '--export', address).trim()

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'hisho-gpg-'))
    mkdirSync(join(folder, 'gnupg'), { mode: 0o700 })
    gpg('--passphrase', '', '--quick-gen-key', 'carol@signed.example', 'future-default')
    const carols = run('gpg', '--batch', '--export', 'carol@signed.example')
    for (const label of ['signed', 'plain', 'expired', 'web'])
      gpg('--passphrase', '', '--quick-gen-key', `alice@${label}.example`, 'future-default')
    const files = { key: join(folder, 'key.pem'), certificate: join(folder, 'cert.pem') }
    const config = join(folder, 'openssl.cnf')
    writeFileSync(config, REQUEST)
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-x509']
    const out = ['-config', config, '-keyout', files.key, '-out', files.certificate]
    run('openssl', 'req', ...curve, ...out)
    certificate = new X509Certificate(readFileSync(files.certificate))
    const smimea = dnsRecordOf('smime', 'alice@signed.example', certificate.raw)
    const openPgpKey = dnsRecordOf('openpgp', 'carol@signed.example', carols)
    const { zones, anchor } = makeSignedZones({
      signed: { signed: 'signed', lines: [smimea, openPgpKey, daneOf('alice@signed.example')] },
      plain: { signed: 'unsigned', lines: [daneOf('alice@plain.example')] },
      expired: { signed: 'expired', lines: [daneOf('alice@expired.example')] },
      web: { signed: 'unsigned', lines: ['openpgpkey A 127.0.0.1'] },
    })
    pool = startPool()
    authority = makeAuthority()
    nsd = await startNsd(zones)
    unbound = await startUnbound({
      stubs: Object.keys(zones),
      stubPort: nsd.port,
      trustAnchors: [anchor],
      credentials: authority.issue('dns.example'),
    })
    world = await startKeyWorld({
      formats: [
        createOpenPgpKeyFormat({ pool, normalizeAddress }),
        createSmimeKeyFormat(normalizeAddress),
      ],
      resolver: createResolver({
        servers: [{ address: '127.0.0.1', port: unbound.port, trusted: true }],
        timeoutMs: 3000,
        tries: 2,
      }),
      hosts: [WEB],
    })
  })
  after(async () => {
    await world?.close()
    await unbound?.close()
    await Promise.all([nsd?.close(), pool?.close()])
    authority?.close()
    if (folder === '') return
    execFileSync('gpgconf', ['--homedir', join(folder, 'gnupg'), '--kill', 'all'])
    rmSync(folder, { recursive: true, force: true })
  })

  const find = async (address: string, kind: KeyKind = 'openpgp') =>
    (await world.directory.find(kind, address, KEY_SOURCES)).map(({ fingerprint, source }) => ({
      fingerprint,
      source,
    }))

  it('C19: an OPENPGPKEY record as gpg makes it, and as we do, in a signed zone', async () => {
    for (const address of ['alice@signed.example', 'carol@signed.example'])
      assert.deepEqual(await find(address), [
        { fingerprint: fingerprintOf(address), source: 'dnssec' },
      ])
    assert.deepEqual(await find('bob@signed.example'), [])
  })

  it('C19: in a zone that is not signed counts for nothing, and where it is forged nobody can say', async () => {
    assert.deepEqual(await find('alice@plain.example'), [])
    await assert.rejects(
      find('alice@expired.example'),
      (error) => error instanceof TempError && error.code === 'dns/servfail',
    )
  })

  it('C19: an SMIMEA record with a certificate of openssl', async () => {
    const [key] = await find('alice@signed.example', 'smime')
    assert.equal(key?.source, 'dnssec')
    assert.equal(key?.fingerprint, certificate.fingerprint256.replaceAll(':', '').toLowerCase())
  })

  it('a Web Key Directory as gpg-wks-client lays it out', async () => {
    const address = 'alice@web.example'
    const files = join(folder, 'openpgpkey')
    mkdirSync(join(files, 'web.example'), { recursive: true })
    const fingerprint = fingerprintOf(address)
    run('gpg-wks-client', '--directory', files, '--install-key', fingerprint, address)
    const [hash = ''] = readdirSync(join(files, 'web.example', 'hu'))
    const { path } = webPlacesOf(address).advanced
    assert.equal(path, `/.well-known/openpgpkey/web.example/hu/${hash}?l=alice`)
    const body = readFileSync(join(files, 'web.example', 'hu', hash))
    world.pages[`${WEB}${path.replace(/\?.*$/, '')}`] = { body }
    assert.deepEqual(await find(address), [{ fingerprint, source: 'wkd' }])
  })
})
