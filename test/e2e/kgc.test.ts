// A gateway without a master key, and its KGC in another process: mail opens, and waits while there is no key to be had.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { systemClock } from '../../lib/clock.ts'
import { IDENTITY_DST } from '../../lib/ibe/boneh-franklin.ts'
import { createIbe, createIbePool } from '../../lib/ibe/ibe.ts'
import { identityAt } from '../../lib/ibe/identity.ts'
import { formatGenerations, formatIssuedKey } from '../../lib/ibe/remote/protocol.ts'
import { SIGNER_DST } from '../../lib/ibe/signature/cha-cheon.ts'
import { entriesOf } from '../../lib/vault/contents.ts'
import { makeAuthority, type Authority } from '../support/authority.ts'
import { freePort } from '../support/haraka.ts'
import { gatewayFiles, startKgc, type KgcProcess } from '../support/kgc.ts'
import { peer } from '../support/peers.ts'
import { redisMissing, startRedis, type RedisServer } from '../support/redis-server.ts'
import { ALL_PLUGINS, PASSWORD, USER } from '../support/site.ts'
import { submit } from '../support/smtp-client.ts'
import { letter, startWorld, type World } from '../support/world.ts'

const TIMEOUT_MS = 2000
const TABLE_B = `local: [b.example]
senders: { user: [bob@b.example] }
domains: { '*': { encrypt: opportunistic } }
`

describe(
  'a gateway whose keys come from a KGC',
  { skip: peer('openssl', 'openssl') || redisMissing },
  () => {
    let authority: Authority
    let redis: RedisServer
    let kgc: KgcProcess
    let world: World
    before(async () => {
      authority = makeAuthority()
      redis = await startRedis()
      const port = await freePort()
      const gateway = { url: `https://127.0.0.1:${port}`, authority, name: 'mx.b.example' }
      const ini = `[redis]\nurl=redis://127.0.0.1:${redis.port}/0\n`
      const kgcLines = `timeout_ms=${TIMEOUT_MS}`
      world = await startWorld({
        vaultB: 'none',
        pluginsA: ALL_PLUGINS,
        pluginsB: ALL_PLUGINS,
        filesB: (dnsPort) => ({
          ...gatewayFiles(gateway, dnsPort, { kgc: kgcLines, ini }),
          'config/hisho.yaml': TABLE_B,
        }),
      })
      const { keysB: keys } = world
      kgc = await startKgc({ keys, authority, port, gateways: 'mx.b.example=b.example' })
    })
    after(async () => {
      await world?.close()
      await kgc?.close()
      await redis?.close()
      authority?.close()
    })
    beforeEach(() => {
      world.inboxB.clear()
      world.a.forgetLog()
      world.b.forgetLog()
    })

    const sendTo = async (name: string): Promise<void> => {
      const address = `${name}@b.example`
      const reply = await world.send(letter(`for ${name}`, { To: address }), [address])
      assert.equal(reply.code, 250)
    }
    const arrives = async (name: string): Promise<void> => {
      const [delivery] = await world.inboxB.waitFor(1, 30_000) // a tries again after 5 seconds
      assert.match(delivery!.message.toString(), new RegExp(`here is for ${name}`))
    }
    const waits = async (): Promise<void> => {
      await world.a.waitForLog(/4\.[47]\.[15] try again later/)
      assert.equal(world.inboxB.deliveries.length, 0)
      assert.equal(world.a.queued().length, 1, 'still queued')
    }

    /** In the KGC's place, with its certificate, for as long as `work` takes. */
    const instead = async (server: (options: object) => Server, work: () => Promise<void>) => {
      const own = authority.issue('kgc.test', { names: 'IP:127.0.0.1', usage: 'serverAuth' })
      const { certificate: cert, privateKey: key } = own
      const listening = server({ cert, key, ca: authority.certificate, requestCert: true })
      listening.listen(kgc.port, '127.0.0.1')
      await once(listening, 'listening')
      try {
        await work()
      } finally {
        listening.close()
        listening.closeAllConnections()
      }
    }

    it('opens mail, and the KGC has a line about the key', async () => {
      await sendTo('bob')
      await arrives('bob')
      const { identity, ...line } = kgc.audit().at(-1)!
      assert.match(String(identity), /^bob@b\.example#\d{4}-\d{2}$/)
      assert.deepEqual([line['gateway'], line['outcome']], ['mx.b.example', 'issued'])
      assert.doesNotMatch(world.b.log(), /vault/)
      assert.match(world.b.log(), /n=1 of the KGC is what the domain publishes: pinned/)
    })

    it('asks once for a key that it needs again', async () => {
      const lines = kgc.audit().length
      await sendTo('bob')
      await arrives('bob')
      assert.equal(kgc.audit().length, lines)
    })

    it('waits while the KGC is killed, and opens when it is back', async () => {
      await kgc.kill()
      await sendTo('carol')
      await waits()
      assert.match(world.b.log(), /kgc\/unreachable|ECONNREFUSED/)
      await kgc.start()
      await arrives('carol')
    })

    it('opens, while the KGC is away, what it has a key for', async () => {
      await kgc.kill()
      await sendTo('bob')
      await arrives('bob')
      await kgc.start()
    })

    it('waits while the KGC is too slow, no longer than it has to', async () => {
      await kgc.kill()
      const silent = (options: object): Server => createServer(options, () => {})
      await instead(silent, async () => {
        const began = performance.now()
        await sendTo('dave')
        await waits()
        assert.ok(performance.now() - began < 2 * TIMEOUT_MS + 3000)
      })
      await kgc.start()
      await arrives('dave')
    })

    it('waits while the KGC lies about a key, and opens when it is honest again', async () => {
      await kgc.kill()
      const [entry] = entriesOf(world.keysB.contents, 'b.example', 'bf')
      const { n, period } = entry!
      const publicKey = Buffer.from(entry!.publicKey, 'base64')
      const key = await identityKey('mallory@b.example')
      const liar = (options: object): Server =>
        createServer(options, (request, response) => {
          const asksForKey = request.method === 'POST'
          response.end(
            asksForKey ? formatIssuedKey({ key }) : formatGenerations([{ n, period, publicKey }]),
          )
        })
      await instead(liar, async () => {
        await sendTo('eve')
        await waits()
        assert.match(world.b.log(), /not believed: its key for eve@b\.example#.* is not one of/)
      })
      await kgc.start()
      await arrives('eve')
    })

    it('signs, with a key of the KGC', async () => {
      await answerFromB()
      const [delivery] = await world.inboxA.waitFor(1)
      assert.match(delivery!.message.toString(), /x-ibe-sig=pass header\.d=b\.example/)
      assert.equal(kgc.audit().filter(({ scheme }) => scheme === 'cc').length, 1)
    })

    it('has no key of anybody on its disk, nor in Redis, nor in its log', async () => {
      const secrets: Uint8Array[] = [
        entriesOf(world.keysB.contents, 'b.example', 'bf')[0]!.masterKey.bytes,
      ]
      for (const name of ['bob', 'carol', 'dave', 'eve'])
        secrets.push(await identityKey(`${name}@b.example`))
      secrets.push(await identityKey('bob@b.example', 'cc'))
      const places = new Map<string, Buffer>([['the log', Buffer.from(world.b.log())]])
      for (const file of filesIn(world.b.directory)) places.set(file, readFileSync(file))
      const names = (await redis.cli('KEYS', '*')).split('\n').filter((name) => name !== '')
      for (const name of names) places.set(name, Buffer.from(await redis.cli('GET', name)))
      assert.ok(names.length > 0 && places.size > 10, [...places.keys()].join(' '))
      const publicKey = entriesOf(world.keysB.contents, 'b.example', 'bf')[0]!.publicKey
      const pinned = places.get(join(world.b.directory, 'config', 'hisho.kgc.yaml'))
      assert.ok(pinned?.includes(publicKey), 'what is there is found')
      for (const [place, bytes] of places)
        for (const secret of secrets)
          for (const form of formsOf(secret)) assert.ok(!bytes.includes(form), place)
    })

    it('finds the KGC ending well when it is told to', async () => {
      assert.equal(await kgc.stop(), 0)
      assert.match(kgc.output(), /^KGC ended$/m)
    })

    const answerFromB = async (): Promise<void> => {
      const reply = await submit({
        port: world.b.port,
        from: 'bob@b.example',
        to: ['alice@a.example'],
        message: Buffer.from(letter('an answer', { From: 'bob@b.example', To: 'alice@a.example' })),
        user: USER,
        password: PASSWORD,
      })
      assert.equal(reply.code, 250)
    }
    const identityKey = async (
      address: string,
      scheme: 'bf' | 'cc' = 'bf',
    ): Promise<Uint8Array> => {
      const pool = createIbePool({ size: 1, queueLimit: 10 })
      const ibe = createIbe({ pool, clock: systemClock })
      const [entry] = entriesOf(world.keysB.contents, 'b.example', scheme)
      const identity = identityAt(address, entry!.period, Date.now())
      const dst = scheme === 'bf' ? IDENTITY_DST : SIGNER_DST
      const key = await ibe.extract(entry!.masterKey, identity, dst)
      await pool.close()
      return key.bytes
    }
  },
)

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true })
    .map((name) => join(folder, String(name)))
    .filter((path) => !path.includes('node_modules') && statSync(path).isFile())
}

function formsOf(secret: Uint8Array): Buffer[] {
  const bytes = Buffer.from(secret)
  const texts = (['base64', 'base64url', 'hex'] as const).map((form) => bytes.toString(form))
  return [bytes, ...texts.map((text) => Buffer.from(text.replace(/=+$/, '')))]
}
