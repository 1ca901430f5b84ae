// The vault as the gateway uses it: opened once, in the background, read again when the file changes.
import { stat } from 'node:fs/promises'
import type { Clock } from '../clock.ts'
import { TempError } from '../errors.ts'
import type { OwnKeySource } from '../mail/own-mail-keys.ts'
import type { VaultContents } from './contents.ts'
import { readPassphrase, type PassphraseSources } from './passphrase.ts'
import { readVault } from './vault.ts'

export type KeyRing = OwnKeySource<VaultContents>

export interface KeyRingOptions {
  readonly file: string
  readonly sources: PassphraseSources
  readonly clock: Clock
  readonly log: (level: 'notice' | 'error', message: string) => void
}

/** How often the file is looked at, and how long a failure is answered without another try (scrypt is dear). */
const LOOK_AGAIN_MS = 5_000
/** Even if what is asked for is missing again and again. */
const LOOK_AT_MOST_MS = 500

/** A changed file that does not open leaves the contents that were read before in use, and says so. */
export function createKeyRing({ file, sources, clock, log }: KeyRingOptions): KeyRing {
  let opened: { readonly contents: VaultContents; readonly version: string } | undefined
  let failed: { readonly error: unknown; readonly version: string } | undefined
  let lookedAt = -Infinity
  let running: Promise<void> | undefined

  const look = async (): Promise<void> => {
    lookedAt = clock.nowMs()
    const version = await versionOf(file)
    if (version === opened?.version) return
    // The same bad file is tried again too: the passphrase may have come meanwhile.
    try {
      const passphrase = await readPassphrase(sources)
      try {
        const contents = await readVault(file, passphrase)
        opened = { contents, version }
        failed = undefined
        log('notice', `vault open: ${[...contents.keys()].join(', ') || 'no sites'}`)
      } finally {
        passphrase.wipe()
      }
    } catch (error) {
      if (failed?.version !== version) {
        const kept = opened
          ? '; the contents read before stay in use'
          : '; mail that needs it is deferred'
        log(
          'error',
          `vault locked: ${error instanceof Error ? error.message : 'unknown cause'}${kept}`,
        )
      }
      // Whatever is wrong with our own vault is no reason to give up a message (docs/formats.md section 7).
      failed = {
        error:
          error instanceof TempError
            ? error
            : new TempError('vault/locked', 'the vault cannot be used', { cause: error }),
        version,
      }
    }
  }

  const lookAfter = (ms: number): void => {
    if (clock.nowMs() - lookedAt >= ms) running ??= look().finally(() => (running = undefined))
  }
  const current = (): VaultContents => {
    if (opened) return opened.contents
    throw failed?.error
  }

  return {
    contents: async () => {
      lookAfter(LOOK_AGAIN_MS)
      // With contents at hand nobody waits for a newer file to open.
      if (!opened && running) await running
      return current()
    },
    latest: async () => {
      // A failure is not tried again for it: requests from outside must not cost a scrypt each.
      lookAfter(failed ? LOOK_AGAIN_MS : LOOK_AT_MOST_MS)
      await running
      return current()
    },
  }
}

async function versionOf(file: string): Promise<string> {
  const found = await stat(file).catch(() => undefined)
  return found ? `${found.ino}:${found.mtimeMs}:${found.size}` : 'none'
}
