// `hisho keys pins|accept|forget`: which keys of others were seen first, and the operator's word about another one.
// docs/keys.md.
import { PermError } from '../errors.ts'
import type { KeyDirectory } from '../key-directory/directory.ts'
import type { PinnedAddress } from '../key-directory/pins.ts'
import type { KeyKind } from '../mail/correspondent-keys.ts'
import type { Context } from './context.ts'
import { asUsage } from './encrypt.ts'
import { formatTable } from './terminal.ts'

export interface PinView extends PinnedAddress {
  readonly fingerprints: readonly string[]
  readonly source: string
  readonly since: string
  readonly accepted: boolean
  readonly pending: readonly {
    readonly fingerprint: string
    readonly source: string
    readonly since: string
  }[]
}

export async function pinView(
  keys: KeyDirectory,
  pinned: PinnedAddress,
): Promise<PinView | undefined> {
  const pin = await keys.pinned(pinned)
  if (!pin) return undefined
  const { source, since, accepted } = pin
  return {
    ...pinned,
    fingerprints: pin.keys.map(({ fingerprint }) => fingerprint),
    source,
    since,
    accepted,
    pending: pin.pending.map(({ key, ...rest }) => ({ fingerprint: key.fingerprint, ...rest })),
  }
}

export async function listPins(
  context: Context,
  given: string | undefined,
  { json }: { readonly json: boolean },
): Promise<void> {
  const { correspondentKeys, normalizeAddress } = context.services('with-table')
  const wanted = given === undefined ? undefined : asUsage(given, normalizeAddress)
  const known = await correspondentKeys.pins()
  const views: PinView[] = []
  for (const pinned of known.filter(({ address }) => (wanted ?? address) === address)) {
    const view = await pinView(correspondentKeys, pinned)
    if (view) views.push(view)
  }
  const { terminal } = context
  if (json) return terminal.json(views)
  if (views.length === 0) return terminal.line('no pinned keys')
  const rows = views.flatMap((view) => [
    ...view.fingerprints.map((fingerprint) => [
      view.address,
      view.kind,
      view.accepted ? 'accepted' : 'pinned',
      view.source,
      view.since.slice(0, 10),
      fingerprint,
    ]),
    ...view.pending.map(({ fingerprint, source, since }) => [
      view.address,
      view.kind,
      'waiting',
      source,
      since.slice(0, 10),
      fingerprint,
    ]),
  ])
  terminal.line(formatTable(['ADDRESS', 'KIND', 'STATE', 'FROM', 'SINCE', 'FINGERPRINT'], rows))
}

export interface AboutKeys {
  readonly address: string
  /** Undefined: whichever there is. */
  readonly kind: KeyKind | undefined
}

export async function acceptKey(
  context: Context,
  { address: given, kind }: AboutKeys,
  fingerprint: string,
): Promise<void> {
  const { correspondentKeys, normalizeAddress } = context.services('with-table')
  const address = asUsage(given, normalizeAddress)
  for (const one of kindsOf(correspondentKeys, kind)) {
    try {
      const { source } = await correspondentKeys.accept({ kind: one, address }, fingerprint)
      return context.terminal.line(`${address}: ${one} key ${fingerprint} (${source}) is accepted`)
    } catch (error) {
      if (!(error instanceof PermError && error.code === 'keys/untrusted')) throw error
    }
  }
  throw new PermError('keys/untrusted', `${address}: no key ${fingerprint} is found or remembered`)
}

export async function forgetKeys(
  context: Context,
  { address: given, kind }: AboutKeys,
): Promise<void> {
  const { correspondentKeys, normalizeAddress } = context.services('with-table')
  const address = asUsage(given, normalizeAddress)
  for (const one of kindsOf(correspondentKeys, kind))
    await correspondentKeys.forget({ kind: one, address })
  context.terminal.line(`${address}: nothing is remembered; the next key that is found is pinned`)
}

function kindsOf({ kinds }: KeyDirectory, kind: KeyKind | undefined): readonly KeyKind[] {
  return kind === undefined ? kinds : [kind]
}
