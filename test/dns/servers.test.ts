import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { formatServer, isLoopback, parseServer, systemServers } from '../../lib/dns/servers.ts'
import { PermError } from '../../lib/errors.ts'

describe('the address of a DNS server', () => {
  it('may be IPv4 or IPv6, with a port or without', () => {
    for (const [text, address, port] of [
      ['192.0.2.1', '192.0.2.1', 53],
      ['127.0.0.1:5300', '127.0.0.1', 5300],
      ['::1', '::1', 53],
      ['[::1]', '::1', 53],
      ['[2001:db8::1]:5353', '2001:db8::1', 5353],
      ['fe80::1%eth0', 'fe80::1%eth0', 53],
      ['[fe80::1%eth0]:5353', 'fe80::1%eth0', 5353],
    ] as const) {
      const server = parseServer(text)
      assert.deepEqual({ address: server.address, port: server.port }, { address, port })
    }
  })

  it('is trusted by itself only on the loopback', () => {
    for (const address of ['127.0.0.1', '127.0.0.53', '::1', '0:0:0:0:0:0:0:1']) {
      assert.equal(isLoopback(address), true, address)
      assert.equal(parseServer(address).trusted, true, address)
    }
    for (const address of [
      '192.0.2.1',
      '1.127.0.0',
      '::2',
      '1::1',
      '::1:1',
      '::',
      '::ffff:7f00:1',
    ]) {
      assert.equal(parseServer(address).trusted, false, address)
    }
  })

  it('is refused with the name of the field and without its value', () => {
    const bad = ['', 'ns.example', '127.0.0.1:', '127.0.0.1:0', '127.0.0.1:65536', '[127.0.0.1]:53']
    for (const text of [
      ...bad,
      '[::1]x',
      '[::1',
      '::1]:53',
      '256.0.0.1',
      ' 127.0.0.1',
      '1.2.3.4:5:6',
    ]) {
      assert.throws(
        () => parseServer(text, 'dns.servers'),
        (error) =>
          error instanceof PermError &&
          error.message.startsWith('dns.servers: ') &&
          (text.length < 5 || !error.message.includes(`${text} `)),
        text,
      )
    }
  })

  it('throws nothing but a PermError, whatever the text', () => {
    const pieces = fc.constantFrom(
      '[',
      ']',
      ':',
      '.',
      '%',
      '1',
      'f',
      '127.0.0.1',
      '::1',
      ':53',
      ' ',
    )
    const texts = fc.oneof(
      fc.string(),
      fc.array(pieces).map((parts) => parts.join('')),
    )
    fc.assert(
      fc.property(texts, (text) => {
        try {
          parseServer(text)
        } catch (error) {
          assert.ok(error instanceof PermError)
        }
      }),
    )
  })

  it('is read back from how it is written', () => {
    const ports = fc.integer({ min: 1, max: 65_535 })
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), ports, (address, port) => {
        const server = { address, port, trusted: isLoopback(address) }
        assert.deepEqual(parseServer(formatServer(server)), server)
      }),
    )
  })

  it('can be taken from the system', () => {
    for (const server of systemServers()) assert.ok(server.port > 0)
  })
})
