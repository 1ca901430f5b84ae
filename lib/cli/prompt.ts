// Questions to a person at the terminal itself, whatever stdin and stdout are connected to.
import { closeSync, openSync } from 'node:fs'
import { ReadStream } from 'node:tty'
import { PermError } from '../errors.ts'
import { SecretBytes } from '../crypto/secret-bytes.ts'

/** Whether there is anybody to ask. */
export function isInteractive(): boolean {
  if (!process.stdin.isTTY && !process.stderr.isTTY) return false
  try {
    closeSync(openSync('/dev/tty', 'r+'))
    return true
  } catch {
    return false
  }
}

/** Without echo. The bytes are the caller's to wipe. */
export async function askSecret(question: string): Promise<SecretBytes> {
  return new SecretBytes(Uint8Array.from(await readLine(question, 'hidden')))
}

/** A new secret, twice. PermError cli/usage if the two differ or are empty. */
export async function askNewSecret(question: string): Promise<SecretBytes> {
  const first = await askSecret(question)
  const second = await askSecret('The same again: ')
  const same = first.equals(second)
  second.wipe()
  if (same && first.bytes.length > 0) return first
  first.wipe()
  throw new PermError('cli/usage', same ? 'the passphrase is empty' : 'the two are not the same')
}

export async function askYes(question: string): Promise<boolean> {
  const answer = await readLine(`${question} [y/N] `, 'shown')
  return /^y(?:es)?$/i.test(Buffer.from(answer).toString('utf8').trim())
}

const ENTER = new Set([0x0a, 0x0d, 0x04])
const BACKSPACE = new Set([0x08, 0x7f])
const INTERRUPT = 0x03

function readLine(question: string, echo: 'hidden' | 'shown'): Promise<readonly number[]> {
  const descriptor = openSync('/dev/tty', 'r+')
  const tty = new ReadStream(descriptor)
  tty.setRawMode(echo === 'hidden')
  process.stderr.write(question)
  return new Promise((resolve, reject) => {
    const line: number[] = []
    const finish = (settle: () => void): void => {
      tty.setRawMode(false)
      tty.destroy()
      if (echo === 'hidden') process.stderr.write('\n')
      settle()
    }
    tty.on('error', (error) => finish(() => reject(error)))
    tty.on('end', () => finish(() => resolve(line)))
    tty.on('data', (piece: Buffer) => {
      for (const byte of piece) {
        if (byte === INTERRUPT)
          return finish(() => reject(new PermError('cli/usage', 'interrupted')))
        if (ENTER.has(byte)) return finish(() => resolve(line))
        if (BACKSPACE.has(byte)) dropCharacter(line)
        else line.push(byte)
      }
    })
  })
}

/** One character of UTF-8: its last byte and the continuation bytes up to its first. */
function dropCharacter(line: number[]): void {
  while (line.length > 0 && (line.pop()! & 0xc0) === 0x80);
}
