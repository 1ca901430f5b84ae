// config/hisho.decrypt.ini, checked.
import { ACTIVE_CONTENT, type ActiveContent } from '../mail/active-content.ts'
import { skeletonOf } from '../mail/look-alike.ts'
import type { OpeningLimits } from '../protection/layers.ts'
import { reader, type Ini, type Reader } from './ini-reader.ts'

/** What becomes of a message that is not opened for a reason of ours. */
export type Unopened = 'hold' | 'deliver'

export interface DecryptSettings {
  readonly enabled: boolean
  readonly authservIds: readonly string[]
  readonly limits: OpeningLimits & {
    readonly onLimit: Unopened
    /** Of one peer; 0: not counted. */
    readonly failuresPerMinute: number
  }
  readonly replay: {
    /** 0: nothing is remembered. */
    readonly days: number
    readonly onReplay: Unopened
    readonly onStoreFailure: 'defer' | 'open'
  }
  /** Of what is opened although nothing proves that it was not altered. */
  readonly activeContent: ActiveContent
  /** For the Subject of what was opened. Empty: none. */
  readonly openedTag: string
  /** Words that nobody else may write into a Subject. */
  readonly tags: readonly string[]
}

const LAYERS_MAX = 3

export function parseDecryptSettings(ini: Ini): DecryptSettings {
  const read = reader('hisho.decrypt.ini', ini)
  const enabled = read.boolean('main', 'enabled')
  const layers = read.number('limits', 'layers', 1)
  if (layers > LAYERS_MAX) throw read.error('limits', 'layers', `must be ${LAYERS_MAX} at most`)
  const openedTag = read.text('tag', 'opened')
  checkTag(read, 'opened', openedTag)
  const removed = read.list('tag', 'remove')
  for (const text of removed) checkTag(read, 'remove', text)
  return {
    enabled,
    authservIds: read.list('main', 'authserv_ids').map((id) => id.toLowerCase()),
    limits: {
      onLimit: choice(read, 'limits', 'on_limit', ['hold', 'deliver']),
      bytes: read.number('limits', 'bytes', 1),
      headerBytes: read.number('limits', 'header_bytes', 1),
      layers,
      failuresPerMinute: read.number('limits', 'failures_per_minute', 0),
    },
    replay: {
      days: read.number('replay', 'days', 0),
      onReplay: choice(read, 'replay', 'on_replay', ['hold', 'deliver']),
      onStoreFailure: choice(read, 'replay', 'on_store_failure', ['defer', 'open']),
    },
    activeContent: choice(read, 'unproven', 'active_content', ACTIVE_CONTENT),
    openedTag,
    tags: [openedTag, ...removed].filter((text) => text !== ''),
  }
}

/** One of its letters would be found everywhere. */
function checkTag(read: Reader, key: string, text: string): void {
  if (text !== '' && (!/^[ -~]{1,40}$/.test(text) || skeletonOf(text).length < 3))
    throw read.error('tag', key, 'must be 3 to 40 characters of ASCII')
}

function choice<T extends string>(
  read: Reader,
  section: string,
  key: string,
  known: readonly T[],
): T {
  const found = known.find((word) => word === read.text(section, key))
  if (found === undefined) throw read.error(section, key, `must be ${known.join(' or ')}`)
  return found
}
