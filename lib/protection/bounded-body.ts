// Sizes of what is opened: a small ciphertext can hold more than any server has room for.
import { PermError } from '../errors.ts'
import type { Message } from '../mail/message.ts'

/** The same body. PermError protection/limit, while it is read, if there is more of it. */
export function bounded(
  body: AsyncIterable<Uint8Array>,
  limitBytes: number,
): AsyncIterableIterator<Uint8Array> {
  const source = body[Symbol.asyncIterator]()
  let bytes = 0
  const own: AsyncIterableIterator<Uint8Array> = {
    [Symbol.asyncIterator]: () => own,
    next: async () => {
      const read = await source.next()
      bytes += read.done ? 0 : read.value.length
      if (bytes <= limitBytes) return read
      await source.return?.()
      throw new PermError('protection/limit', `more than ${limitBytes} bytes are inside`)
    },
    return: async () => (await source.return?.()) ?? { done: true, value: undefined },
  }
  return own
}

export function headerBytesOf({ fields }: Pick<Message, 'fields'>): number {
  return fields.reduce((sum, { raw }) => sum + raw.length, 0)
}
