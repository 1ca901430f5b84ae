// Identity keys from a KGC, wired: the connection, the pins, and the checks of every key.
import type { Clock } from '../clock.ts'
import { PermError } from '../errors.ts'
import type { Bb2 } from '../ibe/bb2/bb2.ts'
import { IDENTITY_DST } from '../ibe/boneh-franklin.ts'
import type { Directory } from '../ibe/directory/directory.ts'
import type { Ibe } from '../ibe/ibe.ts'
import { createApproval } from '../ibe/remote/approval.ts'
import { createKgcConnection } from '../ibe/remote/connection.ts'
import {
  createRemoteKeySource,
  type CheckIdentityKey,
  type RemoteKeySource,
} from '../ibe/remote/key-source.ts'
import { createKgcClient, type KgcClient } from '../ibe/remote/kgc-client.ts'
import { openPinFile, type PinFile } from '../ibe/remote/pins.ts'
import { SIGNER_DST } from '../ibe/signature/cha-cheon.ts'
import type { KgcSettings } from './kgc-settings.ts'

export interface RemoteKeysOptions {
  readonly ibe: Ibe
  readonly bb2: Bb2
  readonly directory: Pick<Directory, 'publishedRecords'>
  readonly isOurs: (domain: string) => boolean
  readonly clock: Clock
  readonly log: (level: 'notice' | 'warn' | 'error', message: string) => void
}

/** The two ends of it: whom to ask, and what is pinned. Nothing is connected before it is needed. */
export function openKgc(settings: KgcSettings): {
  readonly client: KgcClient
  readonly pinFile: PinFile
} {
  return {
    client: createKgcClient(createKgcConnection(settings)),
    pinFile: openPinFile(settings.pinFile),
  }
}

/** Nothing is connected before it is needed. */
export function createRemoteKeys(
  settings: KgcSettings,
  { ibe, bb2, directory, isOurs, clock, log }: RemoteKeysOptions,
): RemoteKeySource {
  const under =
    (dst: string): CheckIdentityKey =>
    (question) =>
      ibe.checkIdentityKey({ ...question, dst })
  const { client, pinFile } = openKgc(settings)
  return createRemoteKeySource({
    client,
    isOurs,
    approval: createApproval({
      pins: pinFile,
      publishedTexts: async (domain) => (await directory.publishedRecords(domain)).texts,
      clock,
      log,
    }),
    check: {
      bf: under(IDENTITY_DST),
      cc: under(SIGNER_DST),
      bb2: async ({ publicKey, identity, identityKey }) => {
        try {
          const parameters = bb2.parametersOf(0, publicKey) // the serial is no part of the key
          return await bb2.checkIdentityKey(parameters, identity, identityKey)
        } catch (error) {
          if (error instanceof PermError) return false // no points
          throw error
        }
      },
    },
    clock,
    log,
  })
}
