import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { PermError, TempError, type ErrorCode } from '../lib/errors.ts'

// The table itself is not exported: it is read from the source, so that no code can be forgotten here.
const root = join(__dirname, '..', '..')
const source = readFileSync(join(root, 'lib', 'errors.ts'), 'utf8')
const CODES = [...source.matchAll(/^ {2}'([a-z-]+\/[a-z-]+)': '[\d.]+',$/gm)].map(
  ([, code]) => code as ErrorCode,
)

describe('the two classes of failure', () => {
  it('a temporary failure is of class 4, a permanent one of class 5', () => {
    assert.equal(new TempError('dns/servfail', 'x').status, '4.4.3')
    assert.equal(new PermError('protection/no-key', 'x').status, '5.7.3')
  })

  it('there are codes', () => assert.ok(CODES.length > 20, String(CODES.length)))

  for (const code of CODES) {
    it(`${code} has digits of RFC 3463 section 2`, () => {
      // Subjects are 0 to 7 (section 3), details have at most three digits without a leading zero.
      assert.match(new TempError(code, 'x').status, /^4\.[0-7]\.(?:0|[1-9]\d{0,2})$/)
      assert.match(new PermError(code, 'x').status, /^5\.[0-7]\.(?:0|[1-9]\d{0,2})$/)
    })
  }

  it('every code is used somewhere', () => {
    const files = readdirSync(join(root, 'lib'), { recursive: true })
      .map(String)
      .filter((file) => file.endsWith('.ts') && file !== 'errors.ts')
    const all = files.map((file) => readFileSync(join(root, 'lib', file), 'utf8')).join('\n')
    // container-error.ts and the DNS codes are put together from parts.
    const unused = CODES.filter(
      (code) => !all.includes(`'${code}'`) && !/^(?:dns|container)\//.test(code),
    )
    assert.deepEqual(unused, [])
  })

  it('an error has its name, code, cause, and what the peer may be told', () => {
    const cause = new Error('c')
    const error = new PermError('mail/malformed', 'm', { cause, peerText: 'p' })
    assert.deepEqual(
      [error.name, error.code, error.message, error.cause, error.peerText],
      ['PermError', 'mail/malformed', 'm', cause, 'p'],
    )
    assert.equal(new TempError('mail/malformed', 'm').peerText, undefined)
    assert.equal(new TempError('mail/malformed', 'm').name, 'TempError')
  })
})
