// A word of ours in the Subject, such as `[decrypted]`. Nobody else may write it: in whatever disguise, it is taken out first.
import { decodeWords, encodeWords } from './encoded-words.ts'
import { formatField, type Field } from './header.ts'
import { skeletonOf } from './look-alike.ts'

/** The field without anything that reads like one of the tags; the very field if there is nothing. */
export function withoutTags(field: Field, tags: readonly string[]): Field {
  const text = shownText(field)
  const rest = tags.map(skeletonOf).reduce(removeAll, text)
  return rest === text ? field : formatField('Subject', encodeWords(rest.trim()))
}

/** For a message without a Subject too. */
export function withTag(field: Field | undefined, tag: string): Field {
  const text = field ? shownText(field) : ''
  return formatField('Subject', encodeWords(`${tag} ${text}`.trim()))
}

function shownText({ raw }: Field): string {
  const bytes = Buffer.from(raw.buffer, raw.byteOffset, raw.length)
  const text = utf8(bytes) ?? bytes.toString('latin1')
  return decodeWords(
    text
      .slice(text.indexOf(':') + 1)
      .replaceAll(/[\r\n]+/g, '')
      .trim(),
  )
}

function utf8(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

/** A character of the skeleton, and the text that shows it, with what does not show behind it. */
interface Seen {
  readonly skeleton: string
  text: string
}

/** In one pass, also where what stands around one is one again: a Subject may be long, and made to be slow. */
function removeAll(text: string, tag: string): string {
  if (tag === '') return text
  const start: Seen = { skeleton: '', text: '' }
  const kept = [start]
  let isAfterTag = false
  for (const char of text) {
    if (isAfterTag && /\s/.test(char)) continue
    isAfterTag = false
    const [first = '', ...more] = skeletonOf(char)
    if (first === '') {
      ;(kept.at(-1) ?? start).text += char
      continue
    }
    kept.push({ skeleton: first, text: char })
    isAfterTag = removeEnd(kept, tag)
    for (const skeleton of more) {
      kept.push({ skeleton, text: '' })
      isAfterTag = removeEnd(kept, tag) || isAfterTag
    }
  }
  return kept.map((seen) => seen.text).join('')
}

/** Whether the last of them were the tag. */
function removeEnd(kept: Seen[], tag: string): boolean {
  const from = kept.length - tag.length
  for (let at = kept.length - 1; at >= from; at--)
    if (kept[at]?.skeleton !== tag[at - from]) return false
  kept.length = from
  return true
}
