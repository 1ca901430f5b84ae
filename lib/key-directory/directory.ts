// Which public keys an address has: from the sources that count for it, the best one first. docs/keys.md.
import { PermError } from '../errors.ts'
import type { CorrespondentKeys, FoundKey, KeyFormat } from '../mail/correspondent-keys.ts'
import type { OperatorKeys } from './operator.ts'

export interface KeyDirectoryOptions {
  readonly formats: readonly KeyFormat[]
  readonly operator: OperatorKeys
}

export type KeyDirectory = CorrespondentKeys

export function createKeyDirectory({ formats, operator }: KeyDirectoryOptions): KeyDirectory {
  const formatOf = (kind: string): KeyFormat => {
    const format = formats.find((one) => one.kind === kind)
    if (!format) throw new PermError('crypto/unsupported', `no format reads ${kind} keys`)
    return format
  }

  const fromFiles = async (format: KeyFormat, name: string): Promise<readonly FoundKey[]> => {
    for (const place of [name, domainOf(name)]) {
      const keys = await operator.find(format, place)
      const isOfDomain = !place.includes('@')
      if (keys.length > 0) return keys.map((key) => ({ ...key, source: 'operator', isOfDomain }))
    }
    return []
  }

  return {
    async find(kind, name, sources) {
      return sources.includes('operator') ? fromFiles(formatOf(kind), name) : []
    },
    async harvest() {},
  }
}

function domainOf(name: string): string {
  return name.slice(name.lastIndexOf('@') + 1)
}
