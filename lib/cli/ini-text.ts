// One value of an ini file changed, and not a byte of the rest.

const SECTION = /^\s*\[([^\]]*)\]\s*$/

/** In the section, which is added if it is not there. Lines before the first section are those of [main], as for Haraka. */
export function withIniValue(text: string, section: string, key: string, value: string): string {
  const lineEnd = text.includes('\r\n') ? '\r\n' : '\n'
  const lines = text.split(/\r?\n/)
  const line = `${key}=${value}`
  const { start, end } = extent(lines, section)
  if (start === -1) {
    const before = text === '' || text.endsWith('\n') ? text : text + lineEnd
    return `${before}${before === '' ? '' : lineEnd}[${section}]${lineEnd}${line}${lineEnd}`
  }
  const at = lines.findIndex(
    (candidate, index) => index >= start && index < end && keyOf(candidate) === key,
  )
  if (at === -1) lines.splice(start, 0, line)
  else lines[at] = line
  return lines.join(lineEnd)
}

export function iniValue(text: string, section: string, key: string): string | undefined {
  const lines = text.split(/\r?\n/)
  const { start, end } = extent(lines, section)
  const line = lines.find((candidate, at) => at >= start && at < end && keyOf(candidate) === key)
  return line?.slice(line.indexOf('=') + 1).trim()
}

/** The lines of a section, without its head. `start` is -1 if there is no such section. */
function extent(lines: readonly string[], section: string): { start: number; end: number } {
  const heads = lines.flatMap((line, at) => {
    const name = SECTION.exec(line)?.[1]?.trim()
    return name === undefined ? [] : [{ name, at }]
  })
  const head = heads.findIndex(({ name }) => name === section)
  if (head === -1)
    return section === 'main'
      ? { start: 0, end: heads[0]?.at ?? lines.length }
      : { start: -1, end: -1 }
  return { start: heads[head]!.at + 1, end: heads[head + 1]?.at ?? lines.length }
}

function keyOf(line: string): string | undefined {
  return /^\s*([^;#=\s][^=\s]*)\s*(?:=|$)/.exec(line)?.[1]
}

/** The keys that stand in a text, by section; lines that Haraka would not understand as `unreadable`. */
export function readIniKeys(text: string): {
  readonly keys: readonly { readonly section: string; readonly key: string }[]
  readonly unreadable: readonly number[]
} {
  const keys: { section: string; key: string }[] = []
  const unreadable: number[] = []
  let section = 'main'
  for (const [at, line] of text.split(/\r?\n/).entries()) {
    const head = SECTION.exec(line)
    if (head) section = head[1]!.trim()
    else if (/^\s*(?:[;#].*)?$/.test(line)) continue
    else {
      const key = keyOf(line)
      if (key !== undefined && line.includes('=')) keys.push({ section, key })
      else unreadable.push(at + 1)
    }
  }
  return { keys, unreadable }
}
