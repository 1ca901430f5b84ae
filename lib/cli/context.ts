// What one run of the command has at hand; each thing is made when it is first wanted, and closed at the end.
import { join } from 'node:path'
import type { Clock } from '../clock.ts'
import type { SecretBytes } from '../crypto/secret-bytes.ts'
import { TempError } from '../errors.ts'
import { createServices, type Log, type Services } from '../services/services.ts'
import type { SharedSettings } from '../services/settings.ts'
import { PASSPHRASE_VARIABLE, readPassphrase } from '../vault/passphrase.ts'
import { openHarakaDirectory, packageRoot, type HarakaDirectory } from './haraka-directory.ts'
import { askSecret, isInteractive } from './prompt.ts'
import { prepareStore } from './store-directory.ts'
import type { Terminal } from './terminal.ts'

export type Environment = Readonly<Record<string, string | undefined>>

export interface Context {
  readonly terminal: Terminal
  readonly environment: Environment
  readonly clock: Clock
  readonly log: Log
  /** PermError cli/usage if there is none. */
  haraka(): HarakaDirectory
  /** As the files are when first asked for. */
  settings(): SharedSettings
  /** `without-table`: for commands that work while hisho.yaml is missing or broken. One kind a run. */
  services(table: 'with-table' | 'without-table'): Services
  /** From the sources that Haraka has too, else asked for at a terminal. Stays the context's. TempError vault/locked. */
  passphrase(): Promise<SecretBytes>
  close(): Promise<void>
}

export interface ContextOptions {
  readonly terminal: Terminal
  readonly environment: Environment
  readonly clock: Clock
  readonly harakaOption: string | undefined
}

export function createContext(options: ContextOptions): Context {
  const { terminal, clock, harakaOption } = options
  // A copy, since a passphrase that was asked for is put into it, for the key ring to find.
  const environment: Record<string, string | undefined> = { ...options.environment }
  const log: Log = (level, message) => {
    // Errors come back as exceptions too.
    if (level === 'warn' || environment['HISHO_DEBUG']) terminal.note(`hisho: ${level}: ${message}`)
  }
  let passphrase: SecretBytes | undefined
  let services: Services | undefined
  const haraka = once(() => openHarakaDirectory(harakaOption, environment))
  const settings = once(() => haraka().settings())

  const findPassphrase = async (): Promise<SecretBytes> => {
    const file = settings().passphraseFile
    try {
      return await readPassphrase({ environment, file })
    } catch (error) {
      if (!(error instanceof TempError) || file !== '' || !isInteractive()) throw error
      const asked = await askSecret('Passphrase of the vault: ')
      environment[PASSPHRASE_VARIABLE] = Buffer.from(asked.bytes).toString('utf8')
      return asked
    }
  }

  return {
    terminal,
    clock,
    environment,
    log,
    haraka,
    settings,
    services: (table) => {
      if (services) return services
      prepareStore(settings(), haraka())
      const tableFile = join(packageRoot, 'config', 'hisho.yaml')
      return (services = createServices({
        settings: table === 'with-table' ? settings() : { ...settings(), tableFile },
        environment,
        clock,
        log,
      }))
    },
    passphrase: async () => (passphrase ??= await findPassphrase()),
    close: async () => {
      passphrase?.wipe()
      await services?.close()
    },
  }
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined
  return () => (made ??= { value: make() }).value
}
