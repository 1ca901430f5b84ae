// TLS settings of connections, kept: to make them anew for each connection costs more than the rest of our work on it.
// Sessions are not shared by this: none is ever taken up again.
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls'

export type ContextFor = (options: SecureContextOptions) => SecureContext

/** Settings differ by requirement and by client certificate; there are few of them. */
const MAX_CONTEXTS = 16

export function createContexts(): ContextFor {
  const known: { readonly options: object; readonly context: SecureContext }[] = []
  return (options) => {
    const found = known.find((one) => isSame(one.options, options))
    if (found) return found.context
    const context = createSecureContext(options)
    known.unshift({ options, context })
    known.length = Math.min(known.length, MAX_CONTEXTS)
    return context
  }
}

/** By identity: Haraka makes a new object of the same values each time. */
function isSame(one: object, other: object): boolean {
  const [entries, others] = [Object.entries(one), new Map(Object.entries(other))]
  return (
    entries.length === others.size &&
    entries.every(([name, value]) => others.has(name) && others.get(name) === value)
  )
}
