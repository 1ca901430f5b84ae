// A gateway without a master key, and its KGC in another process: mail opens, and waits while there is no key to be had.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { makeAuthority, type Authority } from '../support/authority.ts'
import { freePort } from '../support/haraka.ts'
import { gatewayFiles, startKgc, type KgcProcess } from '../support/kgc.ts'
import { peer } from '../support/peers.ts'
import { letter, startWorld, type World } from '../support/world.ts'

describe('a gateway whose keys come from a KGC', { skip: peer('openssl', 'openssl') }, () => {
  let authority: Authority
  let kgc: KgcProcess
  let world: World
  before(async () => {
    authority = makeAuthority()
    const port = await freePort()
    const gateway = { url: `https://127.0.0.1:${port}`, authority, name: 'mx.b.example' }
    world = await startWorld({
      vaultB: 'none',
      filesB: (dnsPort) => gatewayFiles(gateway, dnsPort),
    })
    kgc = await startKgc({
      keys: world.keysB,
      authority,
      port,
      gateways: 'mx.b.example=b.example',
    })
  })
  after(async () => {
    await world?.close()
    await kgc?.close()
    authority?.close()
  })

  it('opens mail, and the KGC has a line about the key', async () => {
    assert.equal((await world.send(letter('far away'))).code, 250)
    const [delivery] = await world.inboxB.waitFor(1)
    assert.match(delivery!.message.toString(), /here is far away/)
    assert.equal(kgc.audit().at(-1)?.['outcome'], 'issued')
  })
})
