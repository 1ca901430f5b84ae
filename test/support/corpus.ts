// Odd real-life messages, kept beside the repository and not in it.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './haraka.ts'

const FOLDER = process.env['HISHO_CORPUS'] ?? join(ROOT, '..', 'shared', 'corpus', 'mime')

/** For `skip`: where to get them, or false. */
export const corpusMissing: string | false = (() => {
  if (existsSync(join(FOLDER, 'index.json'))) return false
  const hint = 'the corpus of messages is not there: set HISHO_CORPUS to its folder'
  if (process.env['CI'] === 'true') throw new Error(hint)
  return hint
})()

export interface CorpusMessage {
  readonly file: string
  /** Line ends made CRLF: SMTP knows no other. */
  readonly bytes: Buffer
}

export function readCorpus(): CorpusMessage[] {
  const index = JSON.parse(readFileSync(join(FOLDER, 'index.json'), 'utf8')) as {
    files: { file: string }[]
  }
  return index.files.map(({ file }) => {
    const text = readFileSync(join(FOLDER, file)).toString('latin1')
    return { file, bytes: Buffer.from(text.replaceAll(/\r?\n/g, '\r\n'), 'latin1') }
  })
}
