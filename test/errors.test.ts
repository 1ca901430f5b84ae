import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { PermError, TempError } from '../lib/errors.ts'

describe('the two classes of failure', () => {
  it('a temporary failure is of class 4, a permanent one of class 5', () => {
    assert.equal(new TempError('dns/servfail', 'x').status, '4.4.3')
    assert.equal(new PermError('protection/no-key', 'x').status, '5.7.3')
  })
})
