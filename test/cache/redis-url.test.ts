import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { formatEnvelope, parseEnvelope } from '../../lib/cache/redis-envelope.ts'
import { parseRedisUrl } from '../../lib/cache/redis-url.ts'
import { PermError } from '../../lib/errors.ts'

describe('a Redis URL', () => {
  it('has a host, and perhaps a user, a password, a port and a database', () => {
    assert.deepEqual(parseRedisUrl('rediss://mail:p%40ss%2Fword@cache.example:6380/7'), {
      host: 'cache.example',
      port: 6380,
      tls: true,
      username: 'mail',
      password: 'p@ss/word',
      database: 7,
    })
    const plain = { port: 6379, tls: false, username: undefined, password: undefined, database: 0 }
    assert.deepEqual(parseRedisUrl('redis://127.0.0.1'), { ...plain, host: '127.0.0.1' })
    assert.deepEqual(parseRedisUrl('redis://[::1]/'), { ...plain, host: '::1' })
    assert.equal(parseRedisUrl('redis://:secret@h').password, 'secret')
  })

  it('is refused with the name of the field and without the password', () => {
    for (const text of [
      '',
      'cache.example',
      'http://:s3cret@cache.example',
      'redis://',
      'redis://:s3cret@cache.example:99999',
      'redis://:s3cret@cache.example/mail',
      'redis://:s3cret@cache.example/0?db=1',
      'redis://:s3cret%@cache.example',
    ]) {
      assert.throws(
        () => parseRedisUrl(text, 'cache.url'),
        (error) =>
          error instanceof PermError &&
          error.message.startsWith('cache.url: ') &&
          !JSON.stringify([error.message, error.stack, error.cause]).includes('s3cret'),
        text,
      )
    }
  })

  it('throws nothing but a PermError, whatever the text', () => {
    const pieces = fc.constantFrom(
      'redis://',
      'rediss:',
      ':',
      '@',
      '/',
      '[',
      ']',
      '%',
      '%4',
      'h',
      '0',
      '?',
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(pieces).map((parts) => parts.join('')),
        ),
        (text) => {
          try {
            parseRedisUrl(text)
          } catch (error) {
            assert.ok(error instanceof PermError)
          }
        },
      ),
    )
  })
})

describe('what stands in Redis', () => {
  it('is read back as it was written', () => {
    const times = fc.integer({ min: 0, max: 4e12 })
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), times, (value, expiresAtMs) => {
        assert.deepEqual(parseEnvelope(formatEnvelope({ value, expiresAtMs })), {
          value,
          expiresAtMs,
        })
      }),
    )
  })

  it('is nothing when it is rubbish', () => {
    for (const text of [
      '',
      '{',
      'null',
      '1',
      '[]',
      '{}',
      '{"v":1,"e":1}',
      '{"v":"x","e":"1"}',
      '{"v":"x"}',
      '{"v":"x","e":1e999}',
    ]) {
      assert.equal(parseEnvelope(text), undefined, text)
    }
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => void parseEnvelope(text)))
  })
})
