// The lists of our own CAs: when a new one is made.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { TempError } from '../../lib/errors.ts'
import { withAuthority } from '../../lib/cli/ca-session.ts'
import { createOwnRevocationLists } from '../../lib/services/own-authorities.ts'
import { createAuthority } from '../../lib/smime/ca/authority.ts'
import { generateMailKey } from '../../lib/smime/ca/mail-key.ts'
import { readLink } from '../../lib/smime/trust/chain.ts'
import { readRevocationList } from '../../lib/smime/trust/revocation-list.ts'
import type { VaultContents } from '../../lib/vault/contents.ts'
import { fakeClock } from '../ibe/fake-clock.ts'

const DAY_MS = 86_400_000

describe('the list of a CA of ours', () => {
  it('lies where its certificates say, is made anew each hour, and with each change of the vault', async () => {
    const clock = fakeClock()
    const options = { domains: ['a.example'], days: 3650, nowMs: clock.nowMs() }
    const url = 'http://crl.a.example:8080/ca.crl?v=1'
    const authority = createAuthority(await generateMailKey('p256'), {
      ...options,
      name: 'Mail CA',
      listUrl: url,
    })
    const silent = createAuthority(await generateMailKey('p256'), {
      ...options,
      name: 'Silent CA',
      listUrl: undefined,
    })
    let contents: VaultContents = withAuthority(
      withAuthority(new Map(), silent, '2026-11-22T00:00:00.000Z'),
      authority,
      '2026-11-22T00:00:01.000Z',
    )
    const lists = createOwnRevocationLists({ keyRing: { latest: async () => contents }, clock })
    const now = (): Promise<Uint8Array | undefined> => lists.at('crl.a.example', '/ca.crl?v=1')
    const first = await now()
    assert.ok(first)
    const read = readRevocationList(first, readLink(authority.certificate))
    assert.equal(read.nextUpdateMs, clock.nowMs() + 7 * DAY_MS)
    clock.passMs(3_599_000)
    assert.equal(await now(), first)
    clock.passMs(1_000)
    const second = await now()
    assert.notDeepEqual(second, first)
    contents = new Map(contents)
    assert.notEqual(await now(), second)
    assert.equal(await lists.at('crl.a.example', '/ca.crl'), undefined)
    assert.equal(await lists.at('a.example', '/ca.crl?v=1'), undefined)
  })

  it('waits while the vault is locked', async () => {
    const error = new TempError('vault/locked', 'the vault is locked')
    const lists = createOwnRevocationLists({
      keyRing: { latest: () => Promise.reject(error) },
      clock: fakeClock(),
    })
    await assert.rejects(lists.at('crl.a.example', '/ca.crl'), error)
  })
})
