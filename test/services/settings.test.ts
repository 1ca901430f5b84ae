import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { PermError } from '../../lib/errors.ts'
import type { Ini } from '../../lib/services/ini-reader.ts'
import {
  parseDecryptSettings,
  parseEncryptSettings,
  parseWellKnownPluginSettings,
} from '../../lib/services/plugin-settings.ts'
import { parseSharedSettings } from '../../lib/services/settings.ts'
import { certify } from '../support/certificates.ts'

interface Loader {
  module_config(directory: string): { get(name: string, type?: string): unknown }
}

// As Haraka reads them, from the files that we ship.
const root = join(__dirname, '..', '..', '..')
const shipped = (require('haraka-config') as Loader).module_config(root)
const ini = (name: string): Ini => shipped.get(name, 'ini') as Ini
const DEFAULTS = ini('hisho.ini')

function shared(changes: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {}) {
  const merged = Object.fromEntries(
    [...new Set([...Object.keys(DEFAULTS), ...Object.keys(changes)])].map((name) => [
      name,
      { ...DEFAULTS[name], ...changes[name] },
    ]),
  )
  return parseSharedSettings(merged, '/etc/haraka/config')
}

describe('the settings that all plugins share', () => {
  it('are good as they are shipped', () => {
    const settings = shared()
    assert.equal(settings.tableFile, '/etc/haraka/config/hisho.yaml')
    assert.equal(settings.vaultFile, '/etc/haraka/config/hisho.vault.age')
    assert.equal(settings.passphraseFile, '')
    assert.ok(settings.workers >= 1 && settings.workers <= 4)
    assert.equal(settings.workerQueue, 1000)
    assert.deepEqual(settings.ttl, { floorSeconds: 60, ceilingSeconds: 86_400 })
    assert.equal(settings.dns.timeoutMs, 2000)
    assert.equal(settings.dns.tries, 2)
    assert.ok(settings.dns.servers.length > 0)
    assert.equal(settings.redis, undefined)
    assert.equal(settings.storeDirectory, '/etc/haraka/config/hisho.store')
    assert.equal(settings.doh, undefined)
    assert.deepEqual(settings.wellKnown, { port: 443, timeoutMs: 3000 })
  })

  it('name the authorities for S/MIME, and refuse what is no certificate', () => {
    assert.deepEqual(shared().smime.anchors, [])
    assert.equal(shared().smime.revocation, 'soft')
    assert.throws(() => shared({ smime: { revocation: 'maybe' } }), /\[smime\] revocation/)
    const folder = mkdtempSync(join(tmpdir(), 'hisho-settings-'))
    try {
      const file = join(folder, 'anchors.pem')
      const { certificate, der } = certify('/CN=root')
      writeFileSync(file, `root:\n${certificate}\n${certificate}`)
      assert.deepEqual(shared({ smime: { anchors_file: file } }).smime.anchors, [der, der])
      for (const text of ['', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n']) {
        writeFileSync(file, text)
        assert.throws(() => shared({ smime: { anchors_file: file } }), /\[smime\] anchors_file/)
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('say where keys of others come from', () => {
    const { correspondents } = shared()
    assert.deepEqual(correspondents, {
      directory: '/etc/haraka/config/hisho.keys',
      wkd: { port: 443, timeoutMs: 5000, allowPrivate: false },
      ttl: { floorSeconds: 300, ceilingSeconds: 86_400 },
      harvest: true,
    })
    assert.equal(shared({ keys: { wkd_enabled: false } }).correspondents.wkd, undefined)
    for (const wrong of [
      { directory: '' },
      { wkd_port: 65_536 },
      { wkd_timeout_ms: 0 },
      { ttl_floor: 2, ttl_ceiling: 1 },
      { harvest: 'perhaps' },
    ])
      assert.throws(
        () => shared({ keys: wrong }),
        (error) => error instanceof PermError && error.message.includes('[keys]'),
      )
  })

  it('say where mail waits for a key, and for how long', () => {
    const { held, threadDays } = shared()
    assert.deepEqual(held, {
      directory: '/etc/haraka/config/hisho.held',
      days: 5,
      retrySeconds: 300,
    })
    assert.equal(threadDays, 30)
    for (const wrong of [{ directory: '' }, { days: 0 }, { retry_seconds: 0 }])
      assert.throws(() => shared({ held: wrong }), /\[held\]/)
  })

  it('name a resolver over HTTPS', () => {
    const { doh } = shared({
      dns: { doh_url: 'https://dns.example/q', doh_address: '2001:db8::1', doh_trusted: true },
    })
    const url = new URL('https://dns.example/q')
    assert.deepEqual(doh, { url, address: '2001:db8::1', trusted: true })
  })

  it('switch the well-known file off', () =>
    assert.equal(shared({ well_known: { enabled: false } }).wellKnown, undefined))

  it('an absolute path stays, a relative one is below the configuration', () => {
    const settings = shared({
      main: { vault: '/var/lib/v', table: 'tables/t.yaml', passphrase_file: 'p' },
    })
    assert.equal(settings.vaultFile, '/var/lib/v')
    assert.equal(settings.tableFile, '/etc/haraka/config/tables/t.yaml')
    assert.equal(settings.passphraseFile, '/etc/haraka/config/p')
  })

  it('workers and servers are taken as they stand', () => {
    const settings = shared({
      main: { workers: 7 },
      dns: { servers: '192.0.2.1, [2001:db8::1]:5353', trusted: '2001:db8::1' },
    })
    assert.equal(settings.workers, 7)
    assert.deepEqual(
      settings.dns.servers.map(({ address, port, trusted }) => [address, port, trusted]),
      [
        ['192.0.2.1', 53, false],
        ['2001:db8::1', 5353, true],
      ],
    )
  })

  const bad: readonly [section: string, key: string, values: readonly unknown[]][] = [
    ['main', 'workers', ['many', -1, 1.5, '', undefined, null, {}, true]],
    ['main', 'worker_queue', [0, 'x']],
    ['dns', 'timeout_ms', [0, '2s']],
    ['dns', 'tries', [0, 'x']],
    ['dns', 'servers', ['not an address', '192.0.2.1:0', '192.0.2.1:99999']],
    ['dns', 'trusted', ['x']],
    [
      'dns',
      'doh_url',
      ['dns.example', 'http://dns.example/', 'https://u:p@dns.example/', 'https://d/#x'],
    ],
    ['dns', 'doh_trusted', ['perhaps']],
    ['well_known', 'enabled', ['perhaps']],
    ['well_known', 'port', [0, 65_536, 'x']],
    ['well_known', 'timeout_ms', [0, 'x']],
    ['well_known', 'ca_file', ['/nowhere/ca.pem']],
    ['main', 'store', ['']],
    ['parameters', 'ttl_floor', ['x', -1]],
    ['parameters', 'ttl_ceiling', [0, 'x']],
  ]
  for (const [section, key, values] of bad) {
    for (const value of values) {
      it(`a bad value names file, section and key: [${section}] ${key}=${JSON.stringify(value)}`, () =>
        refused(() => shared({ [section]: { [key]: value } }), section, key))
    }
  }

  it('an address or authorities of a resolver over HTTPS that are none are refused', () => {
    const doh_url = 'https://dns.example/'
    refused(() => shared({ dns: { doh_url, doh_address: 'x' } }), 'dns', 'doh_address')
    refused(() => shared({ dns: { doh_url, doh_ca_file: '/nowhere' } }), 'dns', 'doh_ca_file')
  })

  it('a floor above the ceiling is refused', () =>
    refused(
      () => shared({ parameters: { ttl_floor: 10, ttl_ceiling: 9 } }),
      'parameters',
      'ttl_floor',
    ))

  it('a section that is missing is refused by its first key', () =>
    refused(() => parseSharedSettings({}, '/'), 'main', 'workers'))
})

function refused(work: () => unknown, section: string, key: string, file = 'hisho.ini'): void {
  assert.throws(work, (error: unknown) => {
    assert.ok(error instanceof PermError, String(error))
    assert.ok(error.message.startsWith(`${file} [${section}] ${key}`), error.message)
    return true
  })
}

describe('the settings of Redis', () => {
  const redis = (changes: Record<string, unknown>) => shared({ redis: changes }).redis
  const common = { keyPrefix: 'hisho:', timeoutMs: 500 }

  for (const [title, changes, expected] of [
    [
      'one server',
      { url: 'redis://127.0.0.1:6379/0' },
      { ...common, target: { kind: 'single', url: 'redis://127.0.0.1:6379/0' } },
    ],
    [
      'one server by TLS',
      { url: 'rediss://r.example', timeout_ms: 9, key_prefix: '' },
      { keyPrefix: '', timeoutMs: 9, target: { kind: 'single', url: 'rediss://r.example' } },
    ],
    [
      'a user',
      { url: 'redis://r', username: 'u', password: 'p' },
      { ...common, target: { kind: 'single', url: 'redis://r' }, username: 'u', password: 'p' },
    ],
    [
      'Sentinel',
      {
        sentinels: 's1:26379, [2001:db8::1]:26380',
        sentinel_name: 'mymaster',
        database: 3,
        tls: true,
        url: 'ignored',
      },
      {
        ...common,
        target: {
          kind: 'sentinel',
          name: 'mymaster',
          sentinels: [
            { host: 's1', port: 26_379 },
            { host: '2001:db8::1', port: 26_380 },
          ],
          database: 3,
          tls: true,
        },
      },
    ],
    [
      'a Cluster',
      { cluster: 'c1:7000,c2:7001' },
      {
        ...common,
        target: {
          kind: 'cluster',
          nodes: [
            { host: 'c1', port: 7000 },
            { host: 'c2', port: 7001 },
          ],
          tls: false,
        },
      },
    ],
  ] as const) {
    it(title, () => assert.deepEqual(redis(changes), expected))
  }

  it('authorities are read from their file', () => {
    const folder = mkdtempSync(join(tmpdir(), 'hisho-ca-'))
    try {
      writeFileSync(join(folder, 'ca.pem'), 'PEM')
      assert.equal(redis({ url: 'rediss://r', ca_file: join(folder, 'ca.pem') })?.ca, 'PEM')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  for (const [key, changes] of [
    ['url', { url: 'http://r' }],
    ['url', { url: 'redis://' }],
    ['ca_file', { url: 'rediss://r', ca_file: '/nowhere/ca.pem' }],
    ['timeout_ms', { url: 'redis://r', timeout_ms: 'x' }],
    ['sentinel_name', { sentinels: 's1:26379' }],
    ['sentinels', { sentinels: 's1', sentinel_name: 'm' }],
    ['sentinels', { sentinels: 's1:0', sentinel_name: 'm' }],
    ['sentinels', { sentinels: 's1:65536', sentinel_name: 'm' }],
    ['database', { sentinels: 's1:1', sentinel_name: 'm', database: 'x' }],
    ['cluster', { cluster: 'c1' }],
    ['tls', { tls: 'maybe' }],
  ] as const) {
    it(`a bad value names its key and not a password: ${JSON.stringify(changes)}`, () =>
      refused(() => redis(changes), 'redis', key))
  }

  it('no error says the URL, which may hold a password', () => {
    assert.throws(
      () => redis({ url: 'http://user:TOPSECRET@r' }),
      (error: unknown) => error instanceof PermError && !error.message.includes('TOPSECRET'),
    )
  })
})

function decryptSettings(changes: Ini) {
  const shipped = ini('hisho.decrypt.ini')
  return parseDecryptSettings(
    Object.fromEntries(
      Object.keys(shipped).map((name) => [name, { ...shipped[name], ...changes[name] }]),
    ),
  )
}

describe('the settings of one plugin', () => {
  it('are good as they are shipped', () => {
    assert.deepEqual(parseEncryptSettings(ini('hisho.encrypt.ini')), {
      enabled: true,
      triggers: { subjects: [], headers: [{ name: 'x-hisho-encrypt', value: 'yes' }] },
    })
    assert.deepEqual(parseDecryptSettings(ini('hisho.decrypt.ini')), {
      enabled: true,
      authservIds: [],
      limits: {
        onLimit: 'deliver',
        bytes: 67_108_864,
        headerBytes: 262_144,
        layers: 3,
        failuresPerMinute: 30,
      },
      replay: { days: 7, onReplay: 'hold', onStoreFailure: 'defer' },
      activeContent: 'text',
      openedTag: '',
      tags: [],
    })
    assert.deepEqual(parseWellKnownPluginSettings(ini('hisho.well_known.ini')), {
      enabled: true,
      trustForwardedHost: false,
    })
  })

  it('take what has a message encrypted, by subject and by header', () => {
    const trigger = { subject: '[secure], !', header: 'X-Encrypt: Yes, Sensitivity:private' }
    assert.deepEqual(parseEncryptSettings({ main: { enabled: true }, trigger }).triggers, {
      subjects: ['[secure]', '!'],
      headers: [
        { name: 'x-encrypt', value: 'yes' },
        { name: 'sensitivity', value: 'private' },
      ],
    })
    for (const header of ['X-Encrypt', 'X-Encrypt:', ': yes', 'X Encrypt: yes'])
      refused(
        () => parseEncryptSettings({ main: { enabled: true }, trigger: { header } }),
        'trigger',
        'header',
        'hisho.encrypt.ini',
      )
  })

  it('know the words for yes and no', () => {
    for (const yes of [true, 'true', 'YES', 'on', 1, 'enabled'])
      assert.equal(parseEncryptSettings({ main: { enabled: yes } }).enabled, true)
    for (const no of [false, 'False', 'no', 'off', 0, 'disabled'])
      assert.equal(parseEncryptSettings({ main: { enabled: no } }).enabled, false)
    for (const neither of ['', 'ture', 2, undefined]) {
      refused(
        () => parseEncryptSettings({ main: { enabled: neither } }),
        'main',
        'enabled',
        'hisho.encrypt.ini',
      )
      refused(
        () => parseDecryptSettings({ main: { enabled: neither } }),
        'main',
        'enabled',
        'hisho.decrypt.ini',
      )
    }
  })

  it('names of our hosts are compared in lower case', () => {
    const settings = decryptSettings({ main: { authserv_ids: ' MX1.b.example ,,mx2.B.example' } })
    assert.deepEqual(settings.authservIds, ['mx1.b.example', 'mx2.b.example'])
  })

  it('limits, memory and tags of hisho/decrypt are refused where they are none', () => {
    for (const [section, key, value] of [
      ['limits', 'on_limit', 'drop'],
      ['limits', 'bytes', '0'],
      ['limits', 'header_bytes', 'x'],
      ['limits', 'layers', '4'],
      ['limits', 'layers', '0'],
      ['limits', 'failures_per_minute', '-1'],
      ['replay', 'days', 'a week'],
      ['replay', 'on_replay', 'open'],
      ['replay', 'on_store_failure', ''],
      ['unproven', 'active_content', 'drop'],
      ['tag', 'opened', 'x'],
      ['tag', 'opened', '[entschlüsselt]'],
      ['tag', 'remove', '[ok],  ,a'],
    ] as const)
      refused(
        () => decryptSettings({ [section]: { [key]: value } }),
        section,
        key,
        'hisho.decrypt.ini',
      )
    const { tags, openedTag } = decryptSettings({
      tag: { opened: '[decrypted]', remove: '[verified], [safe]' },
    })
    assert.equal(openedTag, '[decrypted]')
    assert.deepEqual(tags, ['[decrypted]', '[verified]', '[safe]'])
  })
})
