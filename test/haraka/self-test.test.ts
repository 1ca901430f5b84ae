import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { HookEntry } from '../../lib/haraka/api.ts'
import type { Plugin } from '../../lib/haraka/api.ts'
import { checkDelivery, hookProblems } from '../../lib/haraka/self-test.ts'
import { KNOWN_HARAKA, orderProblems } from '../../lib/services/haraka-rules.ts'

describe('the order of lines in config/plugins', () => {
  for (const list of [
    [],
    ['dkim', 'clamd', 'spf'],
    ['hisho/encrypt'],
    ['dkim', 'spf', 'arc', 'hisho/decrypt', 'hisho/encrypt', 'clamd', 'rspamd'],
    ['haraka-plugin-dkim', 'hisho/decrypt', 'haraka-plugin-rspamd'],
    ['karma', 'hisho/decrypt', 'queue/smtp_forward'],
  ]) {
    it(`is good: ${list.join(', ') || '(nothing)'}`, () =>
      assert.deepEqual(orderProblems(list), []))
  }
  for (const [list, problems] of [
    [
      ['hisho/decrypt', 'dkim'],
      ['dkim must stand before hisho/decrypt: it judges the message as it came'],
    ],
    [
      ['clamd', 'hisho/decrypt'],
      ['clamd must stand after hisho/decrypt: before it there is only ciphertext to look at'],
    ],
    [
      ['haraka-plugin-rspamd', 'haraka-plugin-hisho/decrypt', 'haraka-plugin-spf', 'dmarc'],
      ['spf must stand', 'dmarc must stand', 'rspamd must stand'],
    ],
  ] as const) {
    it(`is not good: ${list.join(', ')}`, () => {
      const found = orderProblems(list)
      assert.equal(found.length, problems.length)
      for (const [at, problem] of problems.entries())
        assert.ok(found[at]?.startsWith(problem), found[at])
    })
  }
})

describe('the version of Haraka', () => {
  for (const [version, known] of [
    ['3.3.4', true],
    ['3.3.0', true],
    ['3.4.0', false],
    ['3.30.1', false],
    ['13.3.4', false],
    ['4.0.0', false],
  ] as const) {
    it(`${version} is ${known ? 'one that was tried' : 'none that was tried'}`, () =>
      assert.equal(KNOWN_HARAKA.test(version), known))
  }
})

const GOOD: Record<string, HookEntry[]> = {
  queue: entries(
    'hisho/decrypt_gate',
    'hisho/decrypt',
    'hisho/encrypt',
    'hisho/encrypt_gate',
    'dkim',
    'queue/smtp_forward',
  ),
  queue_outbound: entries(
    'hisho/decrypt_gate',
    'hisho/decrypt',
    'hisho/encrypt',
    'hisho/encrypt_gate',
    'dkim',
  ),
  get_mx: entries('hisho/encrypt_gate', 'queue/smtp_forward'),
}

function entries(...plugins: readonly string[]): HookEntry[] {
  return plugins.map((plugin, at) => ({ plugin, method: 'm', priority: at - 70 }))
}

describe('the place of our gates among the hooks', () => {
  it('is good as we register them', () => assert.deepEqual(hookProblems(GOOD), []))
  it('does not matter where we are not loaded', () => {
    assert.deepEqual(hookProblems({}), [])
    assert.deepEqual(
      hookProblems({ queue: entries('queue/smtp_forward'), get_mx: entries('x') }),
      [],
    )
  })
  it('is good with decrypt alone, and with encrypt alone', () => {
    const decrypt = entries('hisho/decrypt_gate', 'hisho/decrypt', 'x')
    const encrypt = entries('hisho/encrypt', 'hisho/encrypt_gate', 'x')
    assert.deepEqual(hookProblems({ queue: decrypt, queue_outbound: decrypt }), [])
    assert.deepEqual(
      hookProblems({
        queue: encrypt,
        queue_outbound: encrypt,
        get_mx: entries('hisho/encrypt_gate', 'x'),
      }),
      [],
    )
  })

  for (const [hook, plugins, problem] of [
    ['queue', ['early', ...names('queue')], /early comes before hisho\/decrypt_gate on queue/],
    [
      'queue_outbound',
      ['early', ...names('queue_outbound')],
      /early comes before hisho\/decrypt_gate on queue_outbound/,
    ],
    [
      'queue',
      names('queue').filter((name) => name !== 'hisho/decrypt_gate'),
      /hisho\/decrypt_gate is missing on queue/,
    ],
    [
      'queue',
      names('queue').filter((name) => name !== 'hisho/encrypt_gate'),
      /hisho\/encrypt_gate is missing on queue/,
    ],
    [
      'queue',
      ['hisho/decrypt_gate', 'hisho/encrypt', 'between', 'hisho/encrypt_gate'],
      /between comes before hisho\/encrypt_gate on queue/,
    ],
    [
      'queue',
      ['hisho/decrypt_gate', 'before', 'hisho/encrypt', 'hisho/encrypt_gate'],
      /before comes before hisho\/encrypt_gate on queue/,
    ],
    [
      'get_mx',
      ['mx', 'hisho/encrypt_gate'],
      /mx comes before hisho\/encrypt_gate on get_mx: its priority must be higher than -69/,
    ],
  ] as const) {
    it(`is not good: ${hook} ${plugins.join(', ')}`, () => {
      assert.match(hookProblems({ ...GOOD, [hook]: entries(...plugins) }).join('\n'), problem)
    })
  }

  it('is not good when encrypt is there and its gate is not on get_mx', () => {
    assert.match(
      hookProblems({ ...GOOD, get_mx: [] }).join('\n'),
      /hisho\/encrypt_gate is missing on get_mx/,
    )
    assert.match(
      hookProblems({ ...GOOD, get_mx: entries('mx') }).join('\n'),
      /hisho\/encrypt_gate is missing on get_mx/,
    )
  })
})

function names(hook: string): string[] {
  return (GOOD[hook] ?? []).map(({ plugin }) => plugin)
}

describe('Haraka’s inside, where it is changed for delivery', () => {
  const method = (): void => {}
  const modules = (): Record<string, Record<string, unknown>> => ({
    'package.json': { version: '3.3.4' },
    outbound: {
      HMailItem: function HMailItem() {},
      net_utils: { HarakaMx: method },
    },
    'outbound/client_pool': { get_client: method },
    'outbound/config': { cfg: { enable_tls: true } },
    tls_socket: { connect: method },
  })
  const check = (change: (found: ReturnType<typeof modules>) => void): void => {
    const found = modules()
    const { prototype } = found['outbound']!['HMailItem'] as { prototype: object }
    Object.assign(prototype, {
      get_mx_respond: method,
      get_force_tls: method,
      temp_fail: method,
      bounce: method,
    })
    change(found)
    checkDelivery({ haraka_require: (name: string) => found[name] } as unknown as Plugin)
  }

  it('is good as we know it', () => assert.doesNotThrow(() => check(() => {})))

  for (const [module, name] of [
    ['outbound/client_pool', 'get_client'],
    ['tls_socket', 'connect'],
  ] as const) {
    it(`is not good without ${name}`, () =>
      assert.throws(
        () => check((found) => delete found[module]?.[name]),
        new RegExp(`hisho does not start: ${name} is missing in this Haraka`),
      ))
  }

  for (const name of ['get_mx_respond', 'get_force_tls', 'temp_fail', 'bounce']) {
    it(`is not good without ${name}`, () =>
      assert.throws(
        () =>
          check((found) => {
            const { prototype } = found['outbound']!['HMailItem'] as { prototype: object }
            Reflect.deleteProperty(prototype, name)
          }),
        new RegExp(`${name} is missing in this Haraka`),
      ))
  }

  it('is not good without HarakaMx', () =>
    assert.throws(
      () => check((found) => (found['outbound']!['net_utils'] = {})),
      /HarakaMx is missing in this Haraka/,
    ))
})
