import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { iniValue, readIniKeys, withIniValue } from '../../lib/cli/ini-text.ts'
import { lineEndOf, toCrlf, toLf } from '../../lib/cli/message-io.ts'
import { placePlugins } from '../../lib/cli/plugin-lines.ts'
import { formatTable } from '../../lib/cli/terminal.ts'
import { zoneLine } from '../../lib/cli/zone-record.ts'
import { orderProblems } from '../../lib/services/haraka-rules.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (octets: Uint8Array): string => new TextDecoder().decode(octets)

describe('line ends', () => {
  it('are those of the first line', () => {
    assert.equal(lineEndOf(bytes('a\r\nb\n')), 'crlf')
    assert.equal(lineEndOf(bytes('a\nb\r\n')), 'lf')
    assert.equal(lineEndOf(bytes('')), 'lf')
  })

  it('LF to CRLF and back gives the same, whatever else the bytes are', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(10, 65, 66, 255)), (codes) => {
        const octets = Uint8Array.from(codes)
        assert.deepEqual(toLf(toCrlf(octets)), octets)
      }),
    )
    assert.equal(text(toCrlf(bytes('a\nb\r\n\r\n\nc\rd'))), 'a\r\nb\r\n\r\n\r\nc\rd')
    assert.equal(text(toLf(bytes('a\r\nb\rc\n'))), 'a\nb\rc\n')
  })
})

describe('one value of an ini file', () => {
  it('is changed where it stands, and added where it does not', () => {
    const ini = '; top\nfree=1\n[max]\n; bytes=1\nbytes = 2\n\n[other]\nbytes=3\n'
    assert.equal(withIniValue(ini, 'max', 'bytes', '9'), ini.replace('bytes = 2', 'bytes=9'))
    assert.equal(withIniValue(ini, 'max', 'lines', '9'), ini.replace('[max]\n', '[max]\nlines=9\n'))
    assert.equal(withIniValue(ini, 'new', 'x', 'y'), `${ini}\n[new]\nx=y\n`)
    assert.equal(withIniValue('', 'new', 'x', 'y'), '[new]\nx=y\n')
    assert.equal(withIniValue(ini, 'main', 'free', '2'), ini.replace('free=1', 'free=2'))
    assert.equal(withIniValue('a=1', 'new', 'x', 'y'), 'a=1\n\n[new]\nx=y\n')
  })

  it('is read back', () => {
    const word = fc.stringMatching(/^[a-z_]{1,8}$/)
    fc.assert(
      fc.property(word, word, word, (section, key, value) => {
        const edited = withIniValue('; c\n[max]\nx=1\n', section, key, value)
        assert.equal(iniValue(edited, section, key), value)
        assert.deepEqual(readIniKeys(edited).unreadable, [])
      }),
    )
  })
})

describe('the lines of config/plugins', () => {
  it('go after what judges the message as it came, before scanners and queue plugins', () => {
    const list = 'access\n# dkim later\nspf\ndkim\nheaders\nharaka-plugin-rspamd\nqueue/discard\n'
    const { text: placed, added } = placePlugins(list)
    assert.equal(
      placed,
      list
        .replace('haraka-plugin-rspamd', 'hisho/decrypt\nhisho/verify\nharaka-plugin-rspamd')
        .replace('queue/', 'hisho/sign\nhisho/encrypt\nhisho/mta_sts\nhisho/tlsrpt\nqueue/'),
    )
    assert.deepEqual(
      added.map(({ before }) => before),
      ['rspamd', 'rspamd', ...Array.from({ length: 4 }, () => 'queue/discard')],
    )
    assert.deepEqual(placePlugins(placed), { text: placed, added: [] })
  })

  it('stay where they stand, and go to the end where nothing follows', () => {
    assert.equal(
      placePlugins('').text,
      'hisho/decrypt\nhisho/verify\nhisho/sign\nhisho/encrypt\nhisho/mta_sts\nhisho/tlsrpt\n',
    )
    assert.equal(
      placePlugins('dkim\n').text,
      'dkim\nhisho/decrypt\nhisho/verify\nhisho/sign\nhisho/encrypt\nhisho/mta_sts\nhisho/tlsrpt\n',
    )
    assert.equal(
      placePlugins('haraka-plugin-hisho/encrypt\nqueue/x\n').text,
      'hisho/decrypt\nhisho/verify\nharaka-plugin-hisho/encrypt\nhisho/sign\nhisho/mta_sts\nhisho/tlsrpt\nqueue/x\n',
    )
    assert.equal(
      placePlugins('clamd\ndkim\nqueue/x').text,
      'clamd\ndkim\nhisho/decrypt\nhisho/verify\nhisho/sign\nhisho/encrypt\nhisho/mta_sts\nhisho/tlsrpt\nqueue/x',
    )
  })

  it('never make a new problem of order', () => {
    const name = fc.constantFrom('dkim', 'spf', 'clamd', 'rspamd', 'access', 'queue/x', '# note')
    fc.assert(
      fc.property(fc.array(name), (names) => {
        const placed = placePlugins(names.join('\n')).text.split('\n')
        const problems = orderProblems(placed)
        const lastJudge = Math.max(names.lastIndexOf('dkim'), names.lastIndexOf('spf'))
        const scannerBefore = names
          .slice(0, Math.max(0, lastJudge))
          .some((one) => one === 'clamd' || one === 'rspamd')
        assert.equal(problems.length > 0, scannerBefore)
      }),
    )
  })
})

describe('output', () => {
  it('a record is cut into strings of 255 octets and escaped', () => {
    const [, first, second] = /TXT "(.*)" "(.*)"$/.exec(zoneLine('a.example', 'x'.repeat(300)))!
    assert.deepEqual([first!.length, second!.length], [255, 45])
    assert.match(zoneLine('a.example', 'a"b\\c'), /TXT "a\\"b\\\\c"$/)
  })

  it('columns stand under their heads', () => {
    assert.equal(
      formatTable(
        ['A', 'LONG', 'C'],
        [
          ['long', 'x', 'y'],
          ['b', '', ''],
        ],
      ),
      'A     LONG  C\nlong  x     y\nb',
    )
  })
})
