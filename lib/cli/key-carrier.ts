// A shared key on its way to the other site: an age file, for its operators' age key or under a passphrase that they are told.
// docs/shared-key.md.
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { readMaybeArmor, writeArmor } from '../container/armor.ts'
import { open, seal } from '../container/container.ts'
import { ageIdentity, ageRecipient } from '../container/native-keys.ts'
import { scryptIdentity, scryptRecipient } from '../container/scrypt.ts'
import type { Identity, Recipient } from '../container/stanza.ts'
import { SecretBytes } from '../crypto/secret-bytes.ts'
import { writeAtomically } from '../disk/atomic-file.ts'
import { PermError } from '../errors.ts'
import { collect } from '../mail/message.ts'
import { readPassphrase } from '../vault/passphrase.ts'
import { parseSharedKey, plainSharedKey, type SharedKeyEntry } from '../vault/shared-keys.ts'
import { formatYaml, parseYaml } from '../yaml/document.ts'
import { mapping } from '../yaml/values.ts'
import type { Context } from './context.ts'
import { askNewSecret, askSecret, isInteractive } from './prompt.ts'

const KEY_PASSPHRASE_VARIABLE = 'HISHO_KEY_PASSPHRASE'

/** How a key leaves: at most one of these. */
export interface CarryOptions {
  /** `age1...` of the other operators. */
  readonly to?: string
  readonly passphraseFile?: string
  /** A passphrase from the environment, or asked for. */
  readonly passphrase?: boolean
  /** In clear, on stdout. */
  readonly show?: boolean
  readonly out?: string
}

/** PermError cli/usage for several ways, or for a file that exists. Before anything is made or opened. */
export function checkCarry({ to, passphraseFile, passphrase, show, out }: CarryOptions): void {
  const ways = [to, passphraseFile, passphrase, show].filter((way) => way !== undefined)
  if (ways.length > 1)
    throw new PermError('cli/usage', 'one of --to, --passphrase, --passphrase-file and --show')
  if (to !== undefined) recipientFor(to)
  if (out !== undefined && existsSync(out))
    throw new PermError('cli/usage', `${out} exists: it is not written over`)
}

/** Whether any way was named. */
export function carries({ to, passphraseFile, passphrase, show }: CarryOptions): boolean {
  return [to, passphraseFile, passphrase, show].some((way) => way !== undefined)
}

/** Prints it if that was asked for, else writes the sealed file and says how it goes on. */
export async function carry(
  context: Context,
  entry: SharedKeyEntry,
  options: CarryOptions,
): Promise<void> {
  const { terminal } = context
  const text = formatYaml({ version: 1, shared_key: plainSharedKey(entry) })
  if (options.show) {
    terminal.note('This is the key itself. Let nobody else see it, and do not mail it.')
    return terminal.write(new TextEncoder().encode(text))
  }
  const file = options.out ?? `hisho-key-${entry.id}.age`
  checkCarry({ ...options, out: file })
  const recipient = await sealingRecipient(context, options)
  const sealed = await collect(writeArmor(seal([recipient], [new TextEncoder().encode(text)])))
  await writeAtomically(file, sealed, { mode: 0o600 })
  terminal.line(`${file}: the key, sealed. It may go by mail; a passphrase must go another way.`)
  terminal.line(`There: hisho keys import ${file} --shared <your domain>`)
}

async function sealingRecipient(context: Context, options: CarryOptions): Promise<Recipient> {
  if (options.to !== undefined) return recipientFor(options.to)
  const passphrase =
    (await givenPassphrase(context, options.passphraseFile)) ??
    (await asked(() => askNewSecret('Passphrase for the file: ')))
  if (passphrase.bytes.length === 0) throw new PermError('cli/usage', 'the passphrase is empty')
  return scryptRecipient(passphrase.bytes)
}

function recipientFor(text: string): Recipient {
  try {
    return ageRecipient(text)
  } catch (cause) {
    throw new PermError('cli/usage', '--to takes an age recipient, age1...', { cause })
  }
}

export interface ReceiveOptions {
  /** A file with AGE-SECRET-KEY-..., as age-keygen writes it. */
  readonly identityFile?: string
  readonly passphraseFile?: string
}

/** What `carry` wrote, or printed. PermError container/... if it does not open, vault/malformed for what is inside. */
export async function unpack(
  context: Context,
  bytes: Uint8Array,
  options: ReceiveOptions,
): Promise<SharedKeyEntry> {
  const isClear = Buffer.from(bytes.subarray(0, 16)).toString('latin1').startsWith('version:')
  const text = isClear ? bytes : await unseal(context, bytes, options)
  const yaml = parseYaml(Buffer.from(text).toString('utf8'), 'key', 'vault/malformed', 'secret')
  const root = mapping(yaml, [], yaml.data)
  if (root['version'] !== 1) throw yaml.errorAt(['version'], 'must be 1')
  return parseSharedKey(yaml, ['shared_key'], root['shared_key'])
}

async function unseal(
  context: Context,
  bytes: Uint8Array,
  { identityFile, passphraseFile }: ReceiveOptions,
): Promise<Uint8Array> {
  const identity =
    identityFile === undefined
      ? scryptIdentity(await passphraseOfFile(context, passphraseFile))
      : await identityIn(identityFile)
  const { plaintext } = await open([identity], readMaybeArmor([bytes]))
  return collect(plaintext)
}

async function identityIn(file: string): Promise<Identity> {
  const lines = (await readFile(file, 'utf8')).split(/\r?\n/)
  const found = lines.find((line) => line.startsWith('AGE-SECRET-KEY-'))
  if (found === undefined) throw new PermError('cli/usage', `${file} holds no AGE-SECRET-KEY-...`)
  return ageIdentity(found.trim())
}

/** Of a file that is to be read: as told, from the environment, or asked for. */
export async function passphraseOfFile(
  context: Context,
  file: string | undefined,
): Promise<Uint8Array> {
  const given = await givenPassphrase(context, file)
  return (given ?? (await asked(() => askSecret('Passphrase of the file: ')))).bytes
}

/** From a file, or $HISHO_KEY_PASSPHRASE. */
export async function givenPassphrase(
  { environment }: Context,
  file: string | undefined,
): Promise<SecretBytes | undefined> {
  if (file !== undefined) return readPassphrase({ environment: {}, file })
  const value = environment[KEY_PASSPHRASE_VARIABLE]
  return value ? new SecretBytes(new TextEncoder().encode(value)) : undefined
}

function asked(ask: () => Promise<SecretBytes>): Promise<SecretBytes> {
  if (isInteractive()) return ask()
  const ways = `neither --passphrase-file nor ${KEY_PASSPHRASE_VARIABLE}`
  throw new PermError('cli/usage', `no passphrase for the file: ${ways}, and nobody to ask`)
}
