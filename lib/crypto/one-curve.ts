// mcl computes on one curve a thread: a second init would change the field under every value of the first.

// A thread's own, as mcl itself is.
let taken: string | undefined

/** Takes this thread for a curve. Throws if it has another one already. */
export function takeThreadFor(curve: string): void {
  if (taken !== undefined && taken !== curve) {
    throw new Error(`this thread computes on ${taken} already, ${curve} needs another`)
  }
  taken = curve
}
