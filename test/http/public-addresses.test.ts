import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createAddressFilter } from '../../lib/http/public-addresses.ts'

const words = (text: string): string[] => text.trim().split(/\s+/)

describe('a public address', () => {
  const filter = createAddressFilter()

  it('is one that anybody on the internet may have', () => {
    for (const address of words(`
      1.1.1.1 8.8.8.8 172.15.255.255 172.32.0.0 192.167.255.255 100.128.0.0
      2606:4700:4700::1111 2001:4860:4860::8888 2a00::1 2400:cb00::1
    `))
      assert.ok(filter.isPublic(address), address)
  })

  it('is none that is private, local, mapped, for groups, or leads to such a one', () => {
    for (const address of words(`
      0.0.0.0 10.1.2.3 100.64.0.1 127.0.0.1 127.255.255.255 169.254.169.254
      172.16.0.1 172.31.255.255 192.168.1.1 192.0.0.8 192.0.2.1 198.18.0.1
      198.51.100.7 203.0.113.7 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255
      :: ::1 ::ffff:10.0.0.1 ::ffff:8.8.8.8 ::7f00:1 fe80::1 fec0::1
      fc00::1 fd12:3456::1 ff02::1 2001:db8::1 2002:7f00:1:: 2001::1
      64:ff9b::7f00:1 3fff::1 100::1
    `))
      assert.ok(!filter.isPublic(address), address)
  })

  it('is none that is no address at all', () => {
    for (const address of ['', 'localhost', '1.2.3', '::g']) assert.ok(!filter.isPublic(address))
  })
})
