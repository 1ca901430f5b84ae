// Keys that the operator has put into files, one or more for an address or for a whole domain: what he knows for sure.
// docs/keys.md.
import { constants } from 'node:fs'
import { open, readdir, realpath } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { createSingleFlight } from '../cache/single-flight.ts'
import type { Clock } from '../clock.ts'
import { HishoError, TempError } from '../errors.ts'
import type { KeyFormat, KeyKind, PublicKey } from '../mail/correspondent-keys.ts'

export interface OperatorKeysOptions {
  /** With a directory for each kind. It need not be there. */
  readonly directory: string
  readonly clock: Clock
  /** The one form of a name, which is an address or a domain. PermError for what is neither. */
  readonly normalizeName: (name: string) => string
  readonly log: (level: 'notice' | 'error', message: string) => void
}

export interface OperatorKeys {
  /** Of an address or of a domain, normalised. TempError keys/unreadable: there is a file, and nobody can say what is in it. */
  find(format: KeyFormat, name: string): Promise<readonly PublicKey[]>
}

const ENDINGS: Readonly<Record<KeyKind, RegExp>> = {
  openpgp: /\.(?:asc|pgp|gpg|key)$/i,
  smime: /\.(?:pem|crt|cer|der|p7c|p7b)$/i,
}
const LOOK_AGAIN_MS = 5_000
const MAX_BYTES = 1024 * 1024

interface Listing {
  readonly lookedAtMs: number
  /** By normalised name. */
  readonly files: ReadonlyMap<string, readonly string[]>
}

interface KeyFile {
  readonly lookedAtMs: number
  /** Of the file as it was at the last look. */
  readonly version: string
  /** Of the last time it was good. */
  readonly keys: readonly PublicKey[] | undefined
  /** Why it is no good now. */
  readonly problem: string | undefined
}

/** Looks at the files every few seconds at most, and reads those that are asked for and have changed. */
export function createOperatorKeys(options: OperatorKeysOptions): OperatorKeys {
  const { directory, clock, log } = options
  const listings = new Map<KeyKind, Listing>()
  const known = new Map<string, KeyFile>()
  const oddNames = new Set<string>()
  const listingFlights = createSingleFlight<Listing>()
  const fileFlights = createSingleFlight<KeyFile>()

  const isFresh = (lookedAtMs: number): boolean =>
    Math.abs(clock.nowMs() - lookedAtMs) < LOOK_AGAIN_MS

  const nameOf = (kind: KeyKind, file: string): string | undefined => {
    if (file.startsWith('.') || !ENDINGS[kind].test(file)) return undefined
    try {
      return options.normalizeName(file.replace(ENDINGS[kind], ''))
    } catch (error) {
      if (!(error instanceof HishoError)) throw error
      const path = join(directory, kind, file)
      if (!oddNames.has(path)) log('error', `${path} is of no use: ${error.message}`)
      oddNames.add(path)
      return undefined
    }
  }
  const list = async (kind: KeyKind): Promise<Listing> => {
    const files = new Map<string, readonly string[]>()
    const lookedAtMs = clock.nowMs()
    for (const file of (await namesIn(join(directory, kind))).toSorted()) {
      const name = nameOf(kind, file)
      if (name !== undefined) files.set(name, [...(files.get(name) ?? []), file])
    }
    const listing = { lookedAtMs, files }
    listings.set(kind, listing)
    forgetOthers(known, kind, listing)
    return listing
  }
  const listing = async (kind: KeyKind): Promise<Listing> => {
    const held = listings.get(kind)
    return held && isFresh(held.lookedAtMs)
      ? held
      : listingFlights.fetchOnce(kind, () => list(kind))
  }

  const look = async (format: KeyFormat, file: string): Promise<KeyFile> => {
    const path = join(directory, format.kind, file)
    const before = known.get(`${format.kind}/${file}`)
    const lookedAtMs = clock.nowMs()
    let version = 'unreadable'
    let entry: KeyFile
    try {
      const found = await readInside(directory, path, before?.version)
      version = found.version
      if (before && found.bytes === undefined) entry = { ...before, lookedAtMs }
      else {
        const keys = await format.read(found.bytes ?? new Uint8Array())
        if (keys.length === 0) throw new TempError('keys/unreadable', 'there is no key in it')
        if (before) log('notice', `${path}: read again, ${keys.length} in it`)
        entry = { lookedAtMs, version, keys, problem: undefined }
      }
    } catch (error) {
      // Not about the file: it is tried again with the next question.
      if (error instanceof TempError && error.code !== 'keys/unreadable') throw error
      if (!(error instanceof Error)) throw error
      const problem = error.message
      if (before?.version !== version || before.problem !== problem) {
        const kept = before?.keys ? 'what it held before stays in use' : 'mail that needs it waits'
        log('error', `${path} is of no use: ${problem}; ${kept}`)
      }
      entry = { lookedAtMs, version, keys: before?.keys, problem }
    }
    known.set(`${format.kind}/${file}`, entry)
    return entry
  }

  return {
    async find(format, name) {
      const { files } = await listing(format.kind)
      const found: PublicKey[] = []
      for (const file of files.get(name) ?? []) {
        const id = `${format.kind}/${file}`
        const held = known.get(id)
        const entry =
          held && isFresh(held.lookedAtMs)
            ? held
            : await fileFlights.fetchOnce(id, () => look(format, file))
        // What the operator wanted is not known: no other source is good enough in its place.
        if (!entry.keys) throw new TempError('keys/unreadable', `${id}: ${entry.problem}`)
        found.push(...entry.keys)
      }
      return found
    },
  }
}

function forgetOthers(known: Map<string, KeyFile>, kind: KeyKind, { files }: Listing): void {
  const there = new Set([...files.values()].flat().map((file) => `${kind}/${file}`))
  for (const id of known.keys()) {
    if (id.startsWith(`${kind}/`) && !there.has(id)) known.delete(id)
  }
}

async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory)
  } catch (cause) {
    if (hasCode(cause, 'ENOENT')) return []
    const reason = cause instanceof Error ? cause.message : 'unknown failure'
    throw new TempError('keys/unreadable', `${directory}: ${reason}`, { cause })
  }
}

/** Nothing of a file whose version is known already. A link leads nowhere but to a place inside. */
async function readInside(
  directory: string,
  path: string,
  knownVersion: string | undefined,
): Promise<{ readonly version: string; readonly bytes?: Uint8Array }> {
  const [top, real] = await Promise.all([realpath(directory), realpath(path)])
  if (!real.startsWith(top + sep))
    throw new TempError('keys/unreadable', 'it leads outside of the directory')
  const handle = await open(real, constants.O_RDONLY | constants.O_NONBLOCK) // a pipe is not waited for
  try {
    const found = await handle.stat()
    const version = `${found.ino}:${found.mtimeMs}:${found.size}`
    if (version === knownVersion) return { version }
    if (!found.isFile()) throw new TempError('keys/unreadable', 'it is no file')
    if (found.size > MAX_BYTES)
      throw new TempError('keys/unreadable', `it is longer than ${MAX_BYTES} bytes`)
    return { version, bytes: Uint8Array.from(await handle.readFile()) }
  } finally {
    await handle.close()
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
