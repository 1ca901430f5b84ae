import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { TempError } from '../../lib/errors.ts'
import type { Connection, PluginsModule } from '../../lib/haraka/api.ts'
import { routeOfCopies } from '../../lib/haraka/route.ts'

interface Situation {
  readonly plugins: readonly string[]
  readonly relaying?: boolean
  readonly wants?: string
  readonly forward?: Readonly<Record<string, unknown>>
  readonly enabled?: boolean
}

function route({
  plugins,
  relaying = false,
  wants,
  forward = {},
  enabled = true,
}: Situation): Record<string, unknown> {
  const entries = plugins.map((plugin) => ({ plugin, method: 'queue', priority: 0 }))
  const loaded = Object.fromEntries(
    plugins.map((name) => [
      name,
      { name, get_config: () => forward, forward_enabled: () => enabled },
    ]),
  )
  const module = {
    registered_hooks: { [relaying ? 'queue_outbound' : 'queue']: entries },
    registered_plugins: loaded,
  } as unknown as PluginsModule
  const connection = {
    relaying,
    transaction: { notes: { get: (path: string) => (path === 'queue.wants' ? wants : undefined) } },
  } as unknown as Connection
  return routeOfCopies(module, connection)
}

const hop = (next_hop: string) => ({ queue: { wants: 'smtp_forward', next_hop } })
const FORWARD = 'queue/smtp_forward'

describe('the way of the copies of a split message', () => {
  const ways: readonly [title: string, situation: Situation, notes: unknown][] = [
    ['outgoing mail goes by MX', { plugins: [], relaying: true }, {}],
    [
      'signers and ourselves take nothing',
      { plugins: ['hisho/decrypt', 'hisho/encrypt', 'dkim', 'karma'], relaying: true },
      {},
    ],
    ['lmtp is the outbound queue with a note', { plugins: ['queue/lmtp'] }, { using_lmtp: true }],
    [
      'smtp_forward goes to its host',
      { plugins: [FORWARD], forward: { host: 'mail.b.example' } },
      hop('smtp://mail.b.example:25'),
    ],
    [
      'smtp_forward goes to its port',
      { plugins: [FORWARD], forward: { host: '192.0.2.1', port: 2525 } },
      hop('smtp://192.0.2.1:2525'),
    ],
    [
      'smtp_forward takes IPv6',
      { plugins: [FORWARD], forward: { host: '2001:db8::1' } },
      hop('smtp://[2001:db8::1]:25'),
    ],
    [
      'smtp_forward takes IPv6 in brackets',
      { plugins: [FORWARD], forward: { host: '[2001:db8::1]' } },
      hop('smtp://[2001:db8::1]:25'),
    ],
    [
      'the first queue plugin counts',
      { plugins: ['dkim', 'queue/lmtp', 'queue/other'] },
      { using_lmtp: true },
    ],
    [
      'smtp_forward that is off lets outgoing mail pass',
      { plugins: [FORWARD], relaying: true, enabled: false },
      {},
    ],
    [
      'smtp_forward that is off lets the next one take it',
      { plugins: [FORWARD, 'queue/lmtp'], enabled: false },
      { using_lmtp: true },
    ],
    [
      'what the message wants counts',
      { plugins: ['queue/other', 'queue/lmtp'], wants: 'lmtp' },
      { using_lmtp: true },
    ],
    [
      'what wants the outbound queue gets it',
      { plugins: [FORWARD], relaying: true, wants: 'outbound' },
      {},
    ],
  ]
  for (const [title, situation, notes] of ways) {
    it(title, () => assert.deepEqual(route(situation), notes))
  }

  const refused: readonly [title: string, situation: Situation, reason: RegExp][] = [
    [
      'a queue plugin that is not known',
      { plugins: ['queue/smtp_proxy'] },
      /queue\/smtp_proxy takes one only/,
    ],
    [
      'the same for outgoing mail',
      { plugins: ['queue/rabbitmq'], relaying: true },
      /queue\/rabbitmq/,
    ],
    [
      'smtp_forward with a user',
      { plugins: [FORWARD], forward: { host: 'x', auth_user: 'u' } },
      /auth_user/,
    ],
    [
      'smtp_forward with a pool',
      { plugins: [FORWARD], forward: { host: 'x', forwarding_host_pool: 'a,b' } },
      /one host/,
    ],
    ['smtp_forward without a host', { plugins: [FORWARD] }, /one host/],
    ['no queue plugin for arriving mail', { plugins: [] }, /no queue plugin/],
    ['only one that is off', { plugins: [FORWARD], enabled: false }, /no queue plugin/],
    [
      'the one that is wanted is not there',
      { plugins: ['queue/lmtp'], wants: 'smtp_forward' },
      /no queue plugin/,
    ],
  ]
  for (const [title, situation, reason] of refused) {
    it(`is not known, and the message is deferred: ${title}`, () => {
      assert.throws(
        () => route(situation),
        (error: unknown) => {
          assert.ok(error instanceof TempError)
          assert.equal(error.code, 'protection/split')
          assert.match(error.message, reason)
          return true
        },
      )
    })
  }
})
