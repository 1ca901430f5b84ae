// The Content-Type field, RFC 2045 section 5.1: type, subtype and parameters, comments skipped.
import { replaceComments } from './comments.ts'
import { fieldsNamed, fieldValue, type Field } from './header.ts'

export interface ContentType {
  /** Lower case, `type/subtype`. */
  readonly type: string
  /** Names in lower case, values unquoted. The first of two parameters of one name counts. */
  readonly parameters: ReadonlyMap<string, string>
}

/** undefined: no such field, several of them, or none that parses. */
export function contentTypeOf(fields: readonly Field[]): ContentType | undefined {
  const found = fieldsNamed(fields, 'content-type')
  return found.length === 1 && found[0] ? parseContentType(fieldValue(found[0])) : undefined
}

const TOKEN = String.raw`[^\s()<>@,;:\\"/\[\]?=]+`
const TYPE = new RegExp(`^\\s*(${TOKEN})/(${TOKEN})\\s*`)
const PARAMETER = new RegExp(`^;\\s*(${TOKEN})\\s*=\\s*(?:(${TOKEN})|"((?:[^"\\\\]|\\\\.)*)")\\s*`)

export function parseContentType(value: string): ContentType | undefined {
  const text = replaceComments(value, '')
  const head = TYPE.exec(text)
  if (!head) return undefined
  const parameters = new Map<string, string>()
  let rest = text.slice(head[0].length)
  for (let match = PARAMETER.exec(rest); match; match = PARAMETER.exec(rest)) {
    const name = match[1]!.toLowerCase()
    if (!parameters.has(name))
      parameters.set(name, match[2] ?? match[3]!.replaceAll(/\\(.)/g, '$1'))
    rest = rest.slice(match[0].length)
  }
  return { type: `${head[1]}/${head[2]}`.toLowerCase(), parameters }
}
