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

/** Until none is left: what stands around one may be one. */
function removeAll(text: string, tag: string): string {
  if (tag === '') return text
  for (let now = text; ;) {
    const found = findTag(now, tag)
    if (!found) return now
    now = now.slice(0, found.start) + now.slice(found.end).replace(/^\s/, '')
  }
}

function findTag(text: string, tag: string): { start: number; end: number } | undefined {
  // Which characters of the text stand behind each one of its skeleton.
  const places: number[] = []
  let skeleton = ''
  for (const { index, segment } of segmentsOf(text)) {
    const seen = skeletonOf(segment)
    skeleton += seen
    for (let count = 0; count < seen.length; count++) places.push(index)
  }
  const at = skeleton.indexOf(tag)
  if (at === -1) return undefined
  const last = places[at + tag.length - 1] ?? 0
  return { start: places[at] ?? 0, end: last + segmentLength(text, last) }
}

function* segmentsOf(text: string): Generator<{ index: number; segment: string }> {
  let index = 0
  for (const segment of text) {
    yield { index, segment }
    index += segment.length
  }
}

function segmentLength(text: string, at: number): number {
  return (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1
}
