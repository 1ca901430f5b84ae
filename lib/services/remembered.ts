// Normal forms of addresses, as they were found last.

const MAX_ADDRESSES = 10_000

/** A correspondent is seldom alone: the same addresses come again and again. */
export function remembered(normalize: (address: string) => string): (address: string) => string {
  const known = new Map<string, string>()
  return (address) => {
    const held = known.get(address)
    if (held !== undefined) return held
    const normal = normalize(address)
    if (known.size >= MAX_ADDRESSES) known.clear()
    known.set(address, normal)
    return normal
  }
}
