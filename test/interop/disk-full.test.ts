// The queue's disk is full: all copies or none, and never in clear.
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { isCiphertext } from '../support/arrival.ts'
import { mountMissing, mountSmallDisk, type SmallDisk } from '../support/tmpfs.ts'
import { letter, startWorld, type World } from '../support/world.ts'

describe('a queue on a disk of 1 MB', { skip: mountMissing }, () => {
  let disk: SmallDisk
  let world: World
  const lines = Array.from({ length: 5000 }, (_, at) => `grapefruit ${at} ${'x'.repeat(80)}\r\n`)
  const message = `${letter('large', { To: 'one@x.example' })}${lines.join('')}`
  const recipients = ['one@x.example', 'hidden@x.example', 'secret@x.example']

  before(async () => {
    disk = mountSmallDisk('1m')
    world = await startWorld({
      plainDomains: ['x.example'],
      tableA: '  x.example: { encrypt: required }',
      filesA: { 'config/queue_dir': `${disk.directory}\n` },
    })
    world.dns.zone['_ibemailkey.x.example'] = { TXT: [world.keysB.record] }
  })
  after(async () => {
    await world?.close()
    disk?.close()
  })

  it('takes a message in three copies that do not fit: none is queued, and the sender may try again', async () => {
    assert.ok(message.length > 450_000)
    const reply = await world.send(message, recipients)
    assert.equal(reply.code, 450, reply.text)
    await world.a.waitForLog(/haraka\/queue: .*cannot be written.*ENOSPC/)
    assert.deepEqual(readdirSync(disk.directory), [])
    assert.equal(world.c.wire().length, 0)
  })

  it('takes a message that fits meanwhile', async () => {
    const reply = await world.send(letter('small', { To: 'one@x.example' }), recipients)
    assert.equal(reply.code, 250, reply.text)
    await world.c.waitFor(3)
    assert.equal(
      world.c.deliveries.every((delivery) => isCiphertext(delivery.message)),
      true,
    )
    world.c.clear()
  })

  it('takes the large one when there is space', async () => {
    disk.resize('20m')
    const reply = await world.send(message, recipients)
    assert.equal(reply.code, 250, reply.text)
    const deliveries = await world.c.waitFor(3)
    assert.deepEqual(
      deliveries.map((delivery) => delivery.to.join()).toSorted(),
      recipients.toSorted(),
    )
    for (const delivery of deliveries) {
      assert.ok(isCiphertext(delivery.message))
      assert.ok(!delivery.message.includes('grapefruit'))
    }
  })
})
