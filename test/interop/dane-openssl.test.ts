// The same chains and records, judged by OpenSSL's own DANE.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { createServer } from 'node:tls'
import { formatTlsa } from '../../lib/dane/tlsa.ts'
import { HOST, makeDaneCases, type DaneCase } from '../support/dane-cases.ts'
import { peer } from '../support/peers.ts'

describe('DANE by OpenSSL', { skip: peer('openssl', 'openssl') }, () => {
  for (const one of makeDaneCases())
    it(
      one.opensslDiffers ? `${one.title}; differs: ${one.opensslDiffers}` : one.title,
      async () => {
        const said = await ask(one)
        const isGood = /^Verification: OK$/m.test(said)
        const agrees = isGood === (one.expect === 'match')
        assert.equal(agrees, one.opensslDiffers === undefined, said)
      },
    )
})

/** What `openssl s_client` says of a server with that chain. */
async function ask({ chain, records }: DaneCase): Promise<string> {
  const server = createServer(
    {
      cert: chain.map(({ certificate }) => certificate).join(''),
      key: chain[0]?.privateKey,
    },
    (socket) => socket.on('error', () => {}).end(),
  )
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const place = server.address()
  const port = typeof place === 'object' && place ? place.port : 0
  try {
    return await new Promise((resolve) => {
      const client = execFile(
        'openssl',
        ['s_client', '-brief', '-verify_return_error', '-connect', `127.0.0.1:${port}`]
          .concat(['-dane_tlsa_domain', HOST, '-dane_ee_no_namechecks'])
          .concat(records.flatMap((record) => ['-dane_tlsa_rrdata', formatTlsa(record)])),
        { timeout: 20_000 },
        (_error, stdout, stderr) => resolve(stdout + stderr),
      )
      client.stdin?.end()
    })
  } finally {
    server.close()
  }
}
