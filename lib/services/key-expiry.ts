// When our own keys for OpenPGP and S/MIME expire: for `hisho keys`, and said in the log before it is too late.
import type { Clock } from '../clock.ts'
import { SecretBytes } from '../crypto/secret-bytes.ts'
import { HishoError } from '../errors.ts'
import type { KeyFormat, KeyKind } from '../mail/correspondent-keys.ts'
import type { VaultContents } from '../vault/contents.ts'
import type { KeyRing } from '../vault/key-ring.ts'
import { mailKeysOf, type MailKeyEntry } from '../vault/mail-keys.ts'
import type { Log } from './services.ts'

/** A key of ours that is in use, and has an end. */
export interface Expiry {
  readonly domain: string
  readonly kind: KeyKind
  readonly user: string
  readonly id: string
  /** ISO 8601, UTC. */
  readonly expires: string
  /** Less than none: it has expired. */
  readonly daysLeft: number
}

export interface KeyExpiry {
  /** The next one first. Keys without an end are not among them, nor those that nobody is to use any more. */
  of(contents: VaultContents): Promise<readonly Expiry[]>
  /** Warns now, and once a day. */
  start(): void
  close(): void
}

export interface KeyExpiryOptions {
  readonly keyRing: Pick<KeyRing, 'contents'>
  /** Of OpenPGP it reads secret keys too. */
  readonly formats: readonly KeyFormat[]
  readonly clock: Clock
  readonly log: Log
}

/** Time enough to renew a key, and for others to learn of it. */
export const WARN_DAYS = 30

const DAY_MS = 86_400_000

export function createKeyExpiry({ keyRing, formats, clock, log }: KeyExpiryOptions): KeyExpiry {
  let timer: NodeJS.Timeout | undefined

  const of = async (contents: VaultContents): Promise<readonly Expiry[]> => {
    const found: Expiry[] = []
    for (const domain of contents.keys()) {
      for (const format of formats) {
        for (const entry of mailKeysOf(contents, domain, format.kind).filter(isInUse)) {
          const expires = await expiryOf(format, entry)
          if (expires === undefined) continue
          const daysLeft = Math.floor((Date.parse(expires) - clock.nowMs()) / DAY_MS)
          const { user, id } = entry
          found.push({ domain, kind: format.kind, user, id, expires, daysLeft })
        }
      }
    }
    return found.toSorted((one, other) => one.daysLeft - other.daysLeft)
  }
  const warn = async (): Promise<void> => {
    try {
      for (const expiry of await of(await keyRing.contents()))
        if (expiry.daysLeft < WARN_DAYS) log('warn', warningOf(expiry))
    } catch (error) {
      // The vault says in the log by itself why it is locked.
      if (!(error instanceof HishoError)) log('error', `keys were not looked at: ${String(error)}`)
    }
  }

  return {
    of,
    start() {
      if (timer) return
      void warn()
      timer = setInterval(() => void warn(), DAY_MS)
      timer.unref()
    },
    close: () => clearInterval(timer),
  }
}

function isInUse({ superseded, revoked, retired }: MailKeyEntry): boolean {
  return [superseded, revoked, retired].every((date) => date === undefined)
}

async function expiryOf(format: KeyFormat, entry: MailKeyEntry): Promise<string | undefined> {
  if (format.kind === 'smime') {
    const [own] = entry.certificates
    return own && (await format.read(own))[0]?.expires
  }
  const secret = new SecretBytes(Uint8Array.from(entry.secret.bytes))
  try {
    return (await format.read(secret.bytes))[0]?.expires
  } finally {
    secret.wipe()
  }
}

function warningOf({ kind, user, domain, id, expires, daysLeft }: Expiry): string {
  const whose = `the ${kind} key ${id} of ${user === '*' ? domain : `${user}@${domain}`}`
  return daysLeft < 0
    ? `${whose} has expired on ${expires}: nothing is signed with it, and others do not seal for it any more`
    : `${whose} expires on ${expires}: hisho keys check says what to do`
}
