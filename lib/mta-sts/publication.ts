// A policy of our own as it is published: the file and the TXT record that belongs to it. RFC 8461 sections 3.1 and 3.2.
import { createHash } from 'node:crypto'
import { formatPolicy, type Policy } from './policy.ts'
import { formatRecord } from './record.ts'

export interface Publication {
  readonly policy: Omit<Policy, 'lines'>
  /** The file. */
  readonly text: string
  readonly id: string
  /** For `_mta-sts.<domain>`. */
  readonly record: string
}

const ID_CHARACTERS = 32 // at most: RFC 8461 section 3.1

/** The id follows from the content: it changes when the policy does, and only then, on every machine alike. */
export function publish(policy: Omit<Policy, 'lines'>): Publication {
  const text = formatPolicy(policy)
  const id = createHash('sha256').update(text).digest('hex').slice(0, ID_CHARACTERS)
  return { policy, text, id, record: formatRecord({ id }) }
}
