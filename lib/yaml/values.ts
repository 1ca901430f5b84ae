// What a place in a YAML file holds, checked: PermError with file, line, column and key where it is something else.
import type { YamlFile } from './document.ts'

export type Path = readonly (string | number)[]

export function mapping(yaml: YamlFile, path: Path, value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw yaml.errorAt(path, 'must be a mapping')
  }
  return value as Record<string, unknown>
}

export function list(yaml: YamlFile, path: Path, value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw yaml.errorAt(path, 'must be a list')
  return value
}

export function oneOf<T extends string>(
  yaml: YamlFile,
  path: Path,
  value: unknown,
  known: readonly T[],
  fallback?: T,
): T {
  const found = value === undefined ? fallback : known.find((word) => word === value)
  if (!found) throw yaml.errorAt(path, `must be one of ${known.join(', ')}`)
  return found
}
