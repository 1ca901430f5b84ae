import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { INTEROP_ROWS, withTables } from '../support/interop-matrix.ts'

describe('docs/interop.md', () => {
  it('shows the table that the tests hold true (node dist/test/support/interop-docs.js writes it)', () => {
    const page = readFileSync(join(__dirname, '..', '..', '..', 'docs', 'interop.md'), 'utf8')
    assert.equal(page, withTables(page, INTEROP_ROWS))
  })
})
