// Every queue plugin of Haraka: which of them several copies of a message can follow, and which only one.
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { assertOpened, fieldsAbove, isCiphertext } from '../support/arrival.ts'
import { freePort, startHaraka, type Files, type Haraka } from '../support/haraka.ts'
import { PASSWORD, siteEnvironment, siteFiles, USER } from '../support/site.ts'
import { submit, type Reply } from '../support/smtp-client.ts'
import { startSink, type Delivery, type SmtpSink } from '../support/smtp-sink.ts'
import { letter, startWorld, type World } from '../support/world.ts'

const BASE = ['auth/flat_file', 'rcpt_to.in_host_list', 'hisho/decrypt', 'hisho/encrypt']

/** A queue plugin of an operator: takes what it gets, and nobody knows what it does with it. */
const OWN_QUEUE: Files = {
  'plugins/queue/elsewhere.js': `
exports.register = function () {
  this.register_hook('queue', 'take')
  this.register_hook('queue_outbound', 'take')
}
exports.take = function (next, connection) {
  connection.transaction.message_stream.get_data({}, (data) => {
    this.lognotice('took ' + data.toString('base64'))
    next(OK)
  })
}
`,
}

/** Mail by MX, with a port in it, since DNS cannot say one: what an operator's own get_mx plugin does. */
const mxFiles = (port: number): Files => ({
  'config/test_mx': `${port}\n`,
  'plugins/test_mx.js': `
exports.hook_get_mx = function (next, hmail, domain) {
  next(OK, [{ priority: 10, exchange: '127.0.0.1', port: Number(this.config.get('test_mx')) }])
}
`,
})

describe('queue plugins of the sending gateway', () => {
  // Both domains share a server, which keeps what came over the wire: ciphertext for x.example, clear text for y.example.
  let world: World
  let server: SmtpSink

  before(async () => {
    world = await startWorld()
    world.dns.zone['_ibemailkey.x.example'] = { TXT: [world.keysB.record] }
    server = await startSink()
  })
  after(async () => {
    await Promise.all([world?.close(), server?.close()])
  })
  beforeEach(() => server.clear())

  const SEVERAL = ['one@x.example', 'hidden@x.example', 'y@y.example']
  const message = letter('kumquat', { To: 'one@x.example, two@x.example', Cc: 'y@y.example' })

  interface Sender {
    readonly haraka: Haraka
    send(to: readonly string[]): Promise<Reply>
  }

  async function withSender(
    plugins: readonly string[],
    files: Files,
    use: (sender: Sender) => Promise<void>,
    environment: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const haraka = await startHaraka({
      environment: { ...siteEnvironment(world.keysA), ...environment },
      files: siteFiles({
        domain: 'a.example',
        keys: world.keysA,
        dnsPort: world.dns.port,
        mailbox: server.port,
        routes: {},
        plugins: [...BASE, ...plugins],
        files,
      }),
    })
    try {
      const common = { port: haraka.port, user: USER, password: PASSWORD, from: 'alice@a.example' }
      await use({
        haraka,
        send: (to) => submit({ ...common, to, message: Buffer.from(message) }),
      })
    } finally {
      await haraka.stop()
    }
  }

  const assertCopies = (deliveries: readonly Delivery[]): void => {
    const envelopes = deliveries.map((delivery) => delivery.to.join(' ')).toSorted()
    assert.deepEqual(envelopes, SEVERAL.toSorted())
    for (const { message: got, to } of deliveries) {
      if (to[0] === 'y@y.example') fieldsAbove(got, Buffer.from(message))
      else {
        assert.ok(isCiphertext(got))
        assert.ok(!got.includes('kumquat'))
      }
    }
  }

  const assertOne = (deliveries: readonly Delivery[]): void => {
    assert.equal(deliveries.length, 1)
    assert.deepEqual(deliveries[0]!.to, ['one@x.example', 'two@x.example'])
    assert.ok(isCiphertext(deliveries[0]!.message))
    assert.ok(!server.wire().includes('kumquat'))
  }

  it('the outbound queue by MX takes several copies, and one', async () => {
    await withSender(['test_mx'], mxFiles(server.port), async ({ send }) => {
      assert.equal((await send(SEVERAL)).code, 250)
      assertCopies(await server.waitFor(3))
      server.clear()
      assert.equal((await send(['one@x.example', 'two@x.example'])).code, 250)
      assertOne(await server.waitFor(1))
    })
  })

  it('queue/smtp_forward to a smarthost takes several copies by way of the queue, and one at once', async () => {
    const files = {
      'config/smtp_forward.ini': `host=127.0.0.1\nport=${server.port}\nenable_outbound=true\n`,
    }
    await withSender(['queue/smtp_forward'], files, async ({ haraka, send }) => {
      assert.equal((await send(SEVERAL)).code, 250)
      assertCopies(await server.waitFor(3))
      server.clear()
      assert.equal((await send(['one@x.example', 'two@x.example'])).code, 250)
      assertOne(server.deliveries) // there when the answer is: nothing was queued
      assert.deepEqual(haraka.queued(), [])
    })
  })

  it('queue/smtp_forward with a login refuses several copies, which would be sent without it', async () => {
    const files = {
      'config/smtp_forward.ini': `host=127.0.0.1\nport=${server.port}\nenable_outbound=true\nauth_type=plain\nauth_user=u\nauth_pass=p\n`,
    }
    await withSender(['queue/smtp_forward'], files, async ({ haraka, send }) => {
      const reply = await send(SEVERAL)
      assert.equal(reply.code, 450, reply.text)
      await haraka.waitForLog(/protection\/split: .*only with one host and without auth_user/)
      assert.deepEqual(haraka.queued(), [])
      assert.equal(server.deliveries.length, 0)
    })
  })

  it('queue/lmtp does not take what is submitted: the outbound queue does, with all copies', async () => {
    const files = { ...mxFiles(server.port), 'config/lmtp.ini': 'host=127.0.0.1\nport=1\n' }
    await withSender(['test_mx', 'queue/lmtp'], files, async ({ send }) => {
      assert.equal((await send(SEVERAL)).code, 250)
      assertCopies(await server.waitFor(3))
    })
  })

  it('queue/smtp_proxy takes one message, rewritten in place, and no copies: deferred, the log says why', async () => {
    const files = { 'config/smtp_proxy.ini': `host=127.0.0.1\nport=${server.port}\n` }
    await withSender(['queue/smtp_proxy'], files, async ({ haraka, send }) => {
      const reply = await send(SEVERAL)
      assert.equal(reply.code, 450, reply.text)
      await haraka.waitForLog(/protection\/split: .*queue\/smtp_proxy takes one only/)
      assert.deepEqual(haraka.queued(), [])
      assert.equal(server.deliveries.length, 0)
      assert.ok(!server.wire().includes('kumquat'))
      server.clear()
      const one = await send(['one@x.example', 'two@x.example'])
      assert.equal(one.code, 250, one.text)
      assertOne(server.deliveries)
    })
  })

  it('queue/discard takes no copies either', async () => {
    await withSender(
      ['queue/discard'],
      {},
      async ({ haraka, send }) => {
        const reply = await send(SEVERAL)
        assert.equal(reply.code, 450, reply.text)
        await haraka.waitForLog(/protection\/split: .*queue\/discard takes one only/)
        assert.deepEqual(haraka.queued(), [])
        assert.equal((await send(['one@x.example'])).code, 250)
        await haraka.waitForLog(/discarding message/)
      },
      { YES_REALLY_DO_DISCARD: '1' },
    )
  })

  it("an operator's own queue plugin gets one message as ciphertext, and no copies", async () => {
    await withSender(['queue/elsewhere'], OWN_QUEUE, async ({ haraka, send }) => {
      const reply = await send(SEVERAL)
      assert.equal(reply.code, 450, reply.text)
      await haraka.waitForLog(/protection\/split: .*queue\/elsewhere takes one only/)
      assert.deepEqual(haraka.queued(), [])
      assert.doesNotMatch(haraka.log(), /took/)
      assert.equal((await send(['one@x.example'])).code, 250)
      await haraka.waitForLog(/took/)
      const taken = Buffer.from(/took (\S+)/.exec(haraka.log())?.[1] ?? '', 'base64')
      assert.ok(isCiphertext(taken))
      assert.ok(!taken.includes('kumquat'))
    })
  })
})

/** A ciphertext of a's for one recipient, sent to two of them: at the receiving gateway that makes two copies. */
describe('queue plugins of the receiving gateway', () => {
  for (const [plugin, plugins, files] of [
    [
      'queue/smtp_proxy',
      ['queue/smtp_proxy'],
      (port: number) => ({ 'config/smtp_proxy.ini': `host=127.0.0.1\nport=${port}\n` }),
    ],
    ['queue/elsewhere', ['queue/elsewhere'], () => OWN_QUEUE],
  ] as const) {
    it(`${plugin}: one copy is opened, two are deferred and the log says why`, async () => {
      const mailbox = await startSink()
      // What goes from a to b passes a relay here, that adds a recipient when it is told to.
      const ports = { a: await freePort(), b: await freePort() }
      const relay = await startSink()
      const world = await startWorld({
        ports,
        routesA: { 'b.example': relay.port },
        pluginsB: [...BASE, ...plugins],
        filesB: files(mailbox.port),
      })
      try {
        const message = letter('durian')
        await world.send(message)
        const [sealed] = await relay.waitFor(1)
        const deliver = (to: readonly string[]): Promise<Reply> =>
          submit({ port: ports.b, from: 'alice@a.example', to, message: sealed!.message })
        const both = await deliver(['bob@b.example', 'mallory@b.example'])
        assert.equal(both.code, 450, both.text)
        await world.b.waitForLog(new RegExp(`protection/split: .*${plugin} takes one only`))
        assert.deepEqual(world.b.queued(), [])
        assert.equal(mailbox.deliveries.length, 0)
        const one = await deliver(['bob@b.example'])
        assert.equal(one.code, 250, one.text)
        if (plugin === 'queue/elsewhere') await world.b.waitForLog(/took/)
        const opened =
          plugin === 'queue/elsewhere'
            ? Buffer.from(/took (\S+)/.exec(world.b.log())?.[1] ?? '', 'base64')
            : mailbox.deliveries[0]!.message
        assertOpened(opened, Buffer.from(message))
      } finally {
        await Promise.all([world.close(), mailbox.close(), relay.close()])
      }
    })
  }
})
