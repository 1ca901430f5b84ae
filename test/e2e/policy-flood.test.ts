// Mail to hundreds of domains whose policies are as large, as long or as slow as can be: memory and time stay within bounds,
// and other mail goes. RFC 8461 section 10.3.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { after, before, describe, it } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { startOutbound, type OutboundWorld } from '../support/outbound-world.ts'
import { RETRY_FILES, RETRY_PLUGIN, retryUntil } from '../support/retry.ts'
import { startRoguePolicyHost, type RoguePolicyHost } from '../support/rogue-policy-host.ts'
import { openSession } from '../support/smtp-client.ts'

const HOST = 'mx.b.example'
const COUNTS = { large: 100, endless: 100, slow: 40 } as const
const MAX_BYTES = 65_536
const FETCH_MS = 3000
/** The busy machine of a test too. */
const LONGEST_PAUSE_MS = 5000
const MOST_MORE_KIB = 160 * 1024
// The slow ones last: they are still waited for when other mail comes.
const KINDS = ['large', 'endless', 'slow'] as const
type Kind = (typeof KINDS)[number]

/** As many MX lines as there is room for, to the last byte; no two domains have the same. */
function largestPolicy(domain: string): string {
  let text = `version: STSv1\r\nmode: enforce\r\nmax_age: 86400\r\nmx: ${HOST}\r\n`
  for (let at = 0; text.length < MAX_BYTES - 60; at += 1) text += `mx: h${at}.${domain}\r\n`
  return `${text}more: ${'x'.repeat(MAX_BYTES - text.length - 8)}\r\n`
}

const ANSWERS: Readonly<Record<Kind, (response: ServerResponse, domain: string) => void>> = {
  large: (response, domain) => response.end(largestPolicy(domain)),
  endless: (response) => {
    const line = Buffer.from(`mx: ${'x'.repeat(60)}.example\r\n`.repeat(200))
    const more = (): void => {
      while (!response.destroyed && response.write(line));
    }
    response.on('drain', more)
    more()
  },
  slow: (response) => {
    const timer = setInterval(() => response.write('v'), 50)
    response.on('close', () => clearInterval(timer))
  },
}

describe('a flood of policies', () => {
  let world: OutboundWorld
  let rogue: RoguePolicyHost
  const flooding = KINDS.flatMap((kind) =>
    Array.from({ length: COUNTS[kind] }, (_, at) => ({ kind, domain: `${kind}${at}.example` })),
  )

  before(async () => {
    world = await startOutbound({
      hosts: [HOST],
      plugins: ['auth/flat_file', RETRY_PLUGIN, 'hisho/mta_sts'],
      files: ({ policyPort }) => ({
        ...RETRY_FILES,
        // One process, whose memory is looked at.
        'config/smtp.ini': 'nodes=0\n',
        'config/hisho.mta_sts.ini': `[policy_host]\nport=${policyPort}\nallow_private=true\nca_file=ca.pem\ntimeout_ms=${FETCH_MS}\n[cache]\nrefresh=false\n`,
      }),
    })
    const { dns, policies, authority } = world
    const address = world.mta(HOST).address.replace(/\.\d+\.\d+$/, '.9.1')
    rogue = await startRoguePolicyHost({
      address,
      port: policies.port,
      credentials: authority.issue('flood', {
        names: flooding.map(({ domain }) => `DNS:mta-sts.${domain}`).join(', '),
      }),
      answer: (response, { headers }) => {
        const domain = /^mta-sts\.([^:]+)/.exec(headers.host ?? '')?.[1] ?? ''
        const kind = KINDS.find((one) => domain.startsWith(one)) ?? 'large'
        response.writeHead(200, { 'content-type': 'text/plain' })
        ANSWERS[kind](response, domain)
      },
    })
    for (const { domain } of flooding) {
      dns.zone[domain] = { MX: [`10 ${HOST}`] }
      dns.zone[`_mta-sts.${domain}`] = { TXT: ['v=STSv1; id=1;'] }
      dns.zone[`mta-sts.${domain}`] = { A: [address] }
    }
    dns.zone['known.example'] = { MX: [`10 ${HOST}`] }
    dns.zone['plain.example'] = { MX: [`10 ${HOST}`] }
    policies.publish('known.example', { mode: 'enforce', mx: [HOST] })
    await world.send('bob@known.example')
    await world.mta(HOST).waitFor(1)
    world.reset()
  })
  after(async () => {
    await rogue?.close()
    await world?.close()
  })

  it('S19, S40: takes a bounded part of memory and time, and other mail goes', async () => {
    const { haraka } = world
    const { deliveries } = world.mta(HOST)
    const startKib = residentKib(haraka.process.pid)
    const watched = watch(haraka.process.pid, haraka.port)
    const submitPart = async (part: number): Promise<void> => {
      for (const [at, { domain }] of flooding.entries())
        if (at % 8 === part) assert.equal((await world.send(`bob@${domain}`)).code, 250)
    }
    await Promise.all(Array.from({ length: 8 }, (_, part) => submitPart(part)))
    const to = (start: string): number =>
      deliveries.filter((delivery) => delivery.to[0]?.startsWith(`bob@${start}`)).length
    for (const domain of ['known.example', 'plain.example']) await world.send(`bob@${domain}`)
    while (to('known.example') + to('plain.example') < 2) await wait(20)
    assert.ok(to('slow') < COUNTS.slow, 'other mail waited for slow policy hosts')
    await retryUntil(haraka, () => deliveries.length === flooding.length + 2, 60_000)
    const { slowestMs, mostKib } = await watched.end()
    assert.ok(slowestMs < LONGEST_PAUSE_MS, `no answer for ${slowestMs} ms`)
    assert.ok(mostKib < startKib + MOST_MORE_KIB, `${startKib} KiB became ${mostKib} KiB`)
    assert.doesNotMatch(world.mta(HOST).clear(), /MAIL|secret/)
    assert.match(haraka.log(), /endless1\.example: .*longer than 65536 bytes/)
    assert.match(haraka.log(), /slow1\.example: .*no whole answer in 3000 ms/)
    assert.match(haraka.log(), /delivery to large1\.example .*webpki, MTA-STS enforce/)
  })
})

function residentKib(pid = 0): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
}

/** Until its end: the longest time that Haraka took to answer, and the most memory that it had. */
function watch(pid = 0, port: number) {
  const over = new AbortController()
  const seen = (async () => {
    const session = await openSession(port)
    let [slowestMs, mostKib] = [0, 0]
    while (!over.signal.aborted) {
      const startMs = performance.now()
      await session.command('RSET')
      slowestMs = Math.max(slowestMs, performance.now() - startMs)
      mostKib = Math.max(mostKib, residentKib(pid))
      await wait(10)
    }
    session.close()
    return { slowestMs, mostKib }
  })()
  return {
    end: () => {
      over.abort()
      return seen
    },
  }
}
