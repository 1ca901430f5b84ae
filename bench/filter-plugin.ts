// The filter that hisho is measured against: a Haraka plugin that starts a program for each message, and puts what comes out
// of it in the message's place.
import { spawn } from 'node:child_process'
import type { Connection, Transaction } from '../lib/haraka/api.ts'
import { readExact } from '../lib/haraka/exact-message.ts'
import { GO_ON, hook } from '../lib/haraka/hook.ts'
import { replaceMessage } from '../lib/haraka/replace-message.ts'
import type { Field } from '../lib/mail/header.ts'
import { collect, messageBytes, readMessage, type Message } from '../lib/mail/message.ts'
import { freshBoundary } from '../lib/mail/multipart-encrypted.ts'
import { protectedEntity, restoreEntity } from '../lib/mail/protected-header.ts'
import * as openpgp from '../lib/openpgp/mime.ts'
import * as smime from '../lib/smime/mime.ts'

/** In BENCH_FILTER, as JSON. */
export interface Filter {
  readonly form: 'openpgp' | 'smime'
  readonly does: 'seal' | 'open'
  /** Reads from its input, writes to its output. */
  readonly command: readonly string[]
}

interface Form {
  readonly format: (fields: readonly Field[], make: () => Promise<Uint8Array[]>) => Message
  readonly read: (message: Message) => Promise<Uint8Array>
}

const FORMS: Readonly<Record<Filter['form'], Form>> = {
  openpgp: {
    format: (fields, make) => openpgp.formatEncrypted(fields, make, freshBoundary()),
    read: openpgp.readEncrypted,
  },
  smime: {
    format: (fields, make) => smime.formatEncrypted(fields, 'compat', make),
    read: smime.readCms,
  },
}

export const hook_data_post = hook<Connection>(async (_plugin, { transaction }) => {
  if (transaction) await filterMessage(transaction)
  return GO_ON
})

async function filterMessage(transaction: Transaction): Promise<void> {
  const { form, does, command } = JSON.parse(process.env['BENCH_FILTER'] ?? '') as Filter
  const message = await readExact(transaction, { undoRenaming: false })
  const filtered =
    does === 'seal'
      ? sealed(message, FORMS[form], command)
      : await opened(message, FORMS[form], command)
  await replaceMessage(transaction, filtered, { passed: false })
}

function sealed(message: Message, { format }: Form, command: readonly string[]): Message {
  const to = ['bob@b.example']
  return format(message.fields, async () => [
    await run(command, await collect(messageBytes(protectedEntity(message, to)))),
  ])
}

async function opened(
  message: Message,
  { read }: Form,
  command: readonly string[],
): Promise<Message> {
  const entity = await run(command, await read(message))
  return (await restoreEntity(message.fields, await readMessage([entity]))).message
}

function run([program = '', ...args]: readonly string[], input: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'ignore'] })
    const output = collect(child.stdout)
    child.on('error', reject)
    child.on('close', (code) =>
      code === 0 ? resolve(output) : reject(new Error(`${program}: exit code ${code}`)),
    )
    child.stdin.end(input)
  })
}
