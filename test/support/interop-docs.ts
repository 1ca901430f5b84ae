// Writes the tables of docs/interop.md: node dist/test/support/interop-docs.js
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { INTEROP_ROWS, withTables } from './interop-matrix.ts'

const file = join(__dirname, '..', '..', '..', 'docs', 'interop.md')
writeFileSync(file, withTables(readFileSync(file, 'utf8'), INTEROP_ROWS))
