// Comments of structured header fields, RFC 5322 section 3.2.2.

/** Comments nest; inside a quoted string a parenthesis is only a character. Each outermost comment becomes `mark`. */
export function replaceComments(text: string, mark: '' | ' '): string {
  let out = ''
  let depth = 0
  let quoted = false
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!
    if (char === '\\' && (quoted || depth > 0)) {
      if (depth === 0) out += char + (text[at + 1] ?? '')
      at++
    } else if (char === '"' && depth === 0) {
      quoted = !quoted
      out += char
    } else if (char === '(' && !quoted) depth++
    else if (char === ')' && depth > 0) {
      depth--
      if (depth === 0) out += mark
    } else if (depth === 0) out += char
  }
  return out
}
