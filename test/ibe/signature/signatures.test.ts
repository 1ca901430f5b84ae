import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { startSigning, type SigningWorld } from './world.ts'

const LETTER = [
  'Received: from mx.a.example by mx.b.example; Sun, 22 Nov 2026 12:00:00 +0000',
  'From: Alice <alice@a.example>',
  'To: bob@b.example,',
  '\tcarol@b.example',
  'Subject: Contract',
  'Date: Sun, 22 Nov 2026 12:00:00 +0000',
  'Message-ID: <1@a.example>',
  'MIME-Version: 1.0',
  'Content-Type: text/plain; charset=utf-8',
  '',
  'We agree on 100 euros.',
  '',
  'Alice',
  '',
].join('\r\n')

describe('signed mail', () => {
  let world: SigningWorld
  before(async () => {
    world = await startSigning()
  })
  after(() => world.close())

  it('verifies, and names the domain and the signer', async () => {
    assert.deepEqual(await world.verify(await world.sign(LETTER)), {
      status: 'pass',
      domain: 'a.example',
      identity: 'alice@a.example',
    })
  })

  it('without a signature is told from signed', async () => {
    assert.deepEqual(await world.verify(LETTER), { status: 'none' })
  })
})
