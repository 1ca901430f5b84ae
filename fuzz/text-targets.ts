// Parsers of texts: records, policies, identities, and what processes tell each other.
import { formatHeld, parseHeld } from '../lib/key-directory/finding.ts'
import { formatPin, parsePin, type Pin } from '../lib/key-directory/pins.ts'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { formatEnvelope, parseEnvelope } from '../lib/cache/redis-envelope.ts'
import { formatTlsa, parseTlsa } from '../lib/dane/tlsa.ts'
import { parseName } from '../lib/dns/name.ts'
import { formatLegacy } from '../lib/ibe/bb2/parameters.ts'
import { formatIdentity, parseIdentity } from '../lib/ibe/identity.ts'
import { normalizeDomain } from '../lib/ibe/mail-domain.ts'
import { formatParameters, parseParameters } from '../lib/ibe/parameters.ts'
import {
  formatGenerations,
  formatIssuedKey,
  formatKeyRequest,
  parseGenerations,
  parseIssuedKey,
  parseKeyRequest,
} from '../lib/ibe/remote/protocol.ts'
import { formatEntry, NOTHING, parseEntry, withFailure } from '../lib/mta-sts/entry.ts'
import { matchesMx } from '../lib/mta-sts/match.ts'
import { formatPolicy, parsePolicy } from '../lib/mta-sts/policy.ts'
import { formatRecord, parseRecords } from '../lib/mta-sts/record.ts'
import { parseContentType } from '../lib/mail/content-type.ts'
import { Mismatch, textTarget, type Target } from './target.ts'

interface Vectors {
  readonly cases: readonly { readonly text: string }[]
}

function textsOf(vectors: string): readonly string[] {
  const path = join(__dirname, '..', '..', 'test', 'vectors', `${vectors}.json`)
  const { cases } = JSON.parse(readFileSync(path, 'utf8')) as Vectors
  return cases.map(({ text }) => text)
}

const POLICY =
  'version: STSv1\r\nmode: enforce\r\nmx: mx.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n'
const KEY = Buffer.alloc(48, 7).toString('base64')

const SMIMEA = { usage: 3, selector: 0, matchingType: 1, certificate: new Uint8Array(32) }
const PUBLIC_KEY = { fingerprint: 'aa', bytes: new Uint8Array(3), addresses: ['alice@b.example'] }
const PIN: Pin = {
  source: 'wkd',
  since: '2026-11-22T00:00:00.000Z',
  accepted: false,
  keys: [PUBLIC_KEY],
  pending: [{ key: PUBLIC_KEY, source: 'dnssec', since: '2026-11-22T00:00:00.000Z' }],
}

export const textTargets = (): readonly Target[] => [
  textTarget('MTA-STS record', {
    // A line is a record, and a bar begins another string of it.
    parse: (text) =>
      parseRecords(
        text.split('\n').map((line) => line.split('|').map((part) => Buffer.from(part))),
      ),
    format: (outcome) => (outcome.status === 'found' ? formatRecord(outcome) : undefined),
    seeds: ['v=STSv1; id=20160831085700Z;', 'v=spf1 -all\nv=STSv1; id=1; x=y', 'v=STS|v1;id=a|b'],
    words: ['v=STSv1;', 'id=', ';', '=', ' ', 'STSv1', '\n', '|'],
  }),
  textTarget('MTA-STS policy', {
    parse: (text) => {
      const { lines, ...terms } = parsePolicy(text)
      for (const host of ['mx.example.com', '']) matchesMx({ ...terms, lines }, host)
      // The lines are what a report shows; written anew they are others.
      if (!lines.every((line) => text.includes(line)))
        throw new Mismatch('a line that is not there')
      return terms
    },
    format: formatPolicy,
    seeds: textsOf('mta-sts-policy'),
    words: [
      'version: STSv1\n',
      'mode: ',
      'mx: ',
      'max_age: ',
      '*.',
      '.',
      ':',
      '[::1]',
      'xn--',
      'none',
    ],
  }),
  textTarget('MTA-STS entry', {
    parse: (text) => parseEntry('example.com', text),
    format: formatEntry,
    seeds: [
      formatEntry({
        ...NOTHING,
        fetched: { id: '1', fetchedAtMs: 1, text: POLICY, policy: parsePolicy(POLICY) },
      }),
      formatEntry(
        withFailure(NOTHING, {
          id: '1',
          atMs: 1,
          failure: { resultType: 'sts-webpki-invalid', reason: 'expired' },
        }),
      ),
      formatEntry({ ...NOTHING, purgedAtMs: 5 }),
    ],
    words: ['"fetched":', 'null', '[]', '{}', '"version":1', '1e999', '"failures":[', '\\u0000'],
  }),
  textTarget('IBE parameters', {
    parse: parseParameters,
    format: (parameters) => {
      if (parameters === undefined) return undefined
      return parameters.version === '2.0' ? formatParameters(parameters) : formatLegacy(parameters)
    },
    seeds: textsOf('ibe-parameters'),
    words: [
      'ver=2.0',
      'a=bf',
      'a=cc',
      'c=bls12-381',
      'n=',
      'p=none',
      'P=',
      's=',
      'x=',
      ';',
      ':',
      '=',
    ],
  }),
  textTarget('IBE identity', {
    parse: parseIdentity,
    format: ({ address, period }) => formatIdentity(address, period),
    seeds: [
      'alice@example.com',
      'alice@example.com#2026-11',
      '"a b"@xn--bcher-kva.example#2026-W07',
    ],
    words: ['@', '#', '.', '"', '\\', 'xn--', '2026-11-22', 'ä', '..'],
  }),
  textTarget('mail domain', {
    parse: normalizeDomain,
    format: (domain) => domain,
    seeds: ['example.com', 'bücher.example', 'xn--bcher-kva.example', '1.2.example'],
    words: ['.', '-', 'xn--', 'ß', '\u3002', '%2e', '/', '0x7f', '_'],
  }),
  textTarget('DNS name', {
    parse: parseName,
    format: (name) => name,
    seeds: ['example.com', '_mta-sts.Example.COM.', `${'a'.repeat(63)}.example`],
    words: ['.', '-', '_', '\\', 'a'.repeat(63)],
  }),
  textTarget('TLSA record', {
    parse: parseTlsa,
    format: formatTlsa,
    seeds: [`3 1 1 ${'ab'.repeat(32)}`, `2 0 2 ${'AB '.repeat(64)}`, '255 255 255 00'],
    words: [' ', '0', '256', 'ff', 'g', '\t'],
  }),
  textTarget('content type', {
    parse: (text) => parseContentType(text),
    seeds: [
      'text/plain; charset=utf-8',
      'multipart/encrypted; protocol="application/x"; boundary="a\\"b" (c (d))',
      'a/b;c="d;e";f=g',
    ],
    words: [';', '=', '"', '\\', '(', ')', '/', 'boundary=', '\r\n ', 'multipart/'],
  }),
  textTarget('key request', {
    parse: parseKeyRequest,
    format: formatKeyRequest,
    seeds: [
      formatKeyRequest({ scheme: 'bf', domain: 'example.com', n: 1, identity: 'a@example.com' }),
    ],
    words: ['"scheme":"cc"', '"n":', 'null', '{}', '[]', '"domain":""', '\\u0000', '4294967296'],
  }),
  textTarget('issued key', {
    parse: (text) => parseIssuedKey(text, 'cc'),
    format: (issued) => Buffer.from(formatIssuedKey(issued)).toString(),
    seeds: [`{"key":"${KEY}","until":5}`, `{"key":"${Buffer.alloc(96, 7).toString('base64')}"}`],
    words: ['"until":', '1e999', '-1', 'null', '"key":""', '='],
  }),
  textTarget('generations', {
    parse: (text) => parseGenerations(text, 'bf'),
    format: (generations) => Buffer.from(formatGenerations(generations)).toString(),
    seeds: [
      '{"generations":[]}',
      `{"generations":[{"n":1,"period":"month","publicKey":"${Buffer.alloc(96, 7).toString('base64')}"}]}`,
    ],
    words: ['"n":2', '"period":"none"', 'null', '[', ']', '{', '}', ','],
  }),
  textTarget('keys in the cache', {
    parse: parseHeld,
    format: (held) => held && formatHeld(held),
    seeds: [
      formatHeld({
        untilMs: 1,
        finding: { status: 'none', authentic: true, constraints: [SMIMEA] },
      }),
      formatHeld({ untilMs: 1, finding: { status: 'found', keys: [PUBLIC_KEY] } }),
    ],
    words: ['"status":"found"', '"status":"unusable"', '"reason":""', 'null', '1e999', '[]'],
  }),
  textTarget('pinned keys', {
    parse: (text) => parsePin('alice@b.example', text),
    format: formatPin,
    seeds: [formatPin(PIN)],
    words: ['"version":1', '"accepted":true', '"pending":[]', '"operator"', 'null', '{}'],
  }),
  textTarget('value in Redis', {
    parse: parseEnvelope,
    format: (entry) => entry && formatEnvelope(entry),
    seeds: ['{"v":"x","e":1795300000000}'],
    words: ['"v":', '"e":', '1e999', 'null', '{}', '[]'],
  }),
]
