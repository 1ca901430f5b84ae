// How a generation of keys is called in what we print.

/** `bf n=2` */
export function label({ scheme, n }: { readonly scheme: string; readonly n: number }): string {
  return `${scheme} n=${n}`
}
