// `hisho/to`: for whom a file was sealed, where its key belongs to a whole site. docs/formats.md section 5. The MAC of the
// header covers it, so that only who has the key can name anybody.
import { ContainerError } from './container-error.ts'
import { decodeBase64, encodeBase64, type Recipient, type Stanza } from './stanza.ts'

const TYPE = 'hisho/to'

/** Addresses in their normal form. Gives nobody a key: it stands beside a recipient that does. */
export function addressees(addresses: readonly string[]): Recipient {
  return {
    wrap: async () =>
      addresses.map((address) => ({
        type: TYPE,
        args: [encodeBase64(new TextEncoder().encode(address))],
        body: new Uint8Array(0),
      })),
  }
}

/** The addresses that the stanzas name. Take them for true only after the MAC was right. */
export function addresseesOf(stanzas: readonly Stanza[]): string[] {
  return stanzas
    .filter(({ type }) => type === TYPE)
    .map(({ args, body }) => {
      const [text, ...others] = args
      if (text === undefined || others.length > 0 || body.length > 0)
        throw new ContainerError(
          'header',
          `a ${TYPE} stanza has not one argument and an empty body`,
        )
      return new TextDecoder().decode(decodeBase64(text))
    })
}
