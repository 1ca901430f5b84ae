// One entry of a list in the vault's YAML: what of it is a text, and the id by which it is known.
import type { YamlFile } from '../yaml/document.ts'
import { mapping, type Path } from '../yaml/values.ts'

export interface Entry {
  readonly fields: Readonly<Record<string, unknown>>
  /** PermError vault/malformed, as with all that is read here; the message names the place, never a value. */
  readonly text: (name: string) => string
  /** A place in an object of its own, or nothing: what is there must be a text. */
  readonly optional: <Name extends string>(
    ...names: readonly Name[]
  ) => { readonly [name in Name]?: string }
  readonly fail: (name: string, reason: string) => never
}

const ID = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$/

export function isKeyId(text: string): boolean {
  return ID.test(text)
}

export function readEntry(yaml: YamlFile, path: Path, value: unknown): Entry {
  const fields = mapping(yaml, path, value)
  const fail = (name: string, reason: string): never => {
    throw yaml.errorAt([...path, name], reason)
  }
  const text = (name: string): string => {
    const found = fields[name]
    return typeof found === 'string' ? found : fail(name, 'must be a text')
  }
  if (!isKeyId(text('id')))
    fail('id', 'must be an id: 1 to 64 letters, digits, and . _ - between them')
  return {
    fields,
    text,
    optional: (...names) =>
      Object.fromEntries(
        names.flatMap((name) => (fields[name] === undefined ? [] : [[name, text(name)]])),
      ) as { [name in (typeof names)[number]]?: string },
    fail,
  }
}

/** Each id once. */
export function readEntries(yaml: YamlFile, path: Path, items: readonly unknown[]): Entry[] {
  const seen = new Set<string>()
  return items.map((item, at) => {
    const entry = readEntry(yaml, [...path, at], item)
    const id = entry.text('id')
    if (seen.has(id)) entry.fail('id', 'must be an id that no other one has')
    seen.add(id)
    return entry
  })
}
