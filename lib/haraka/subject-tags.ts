// The tag of hisho/decrypt in the Subject: forged ones are taken out, and ours is put in. Last of all in data_post, since a
// signature may cover the Subject.
import { withoutTags, withTag } from '../mail/subject-tag.ts'
import type { DecryptSettings } from '../services/decrypt-settings.ts'
import type { Header } from './api.ts'
import { asField, asEntry, forgetName } from './header-list.ts'

const SUBJECT = /^\s*subject[ \t]*:/i

export function tagSubject(
  header: Header,
  { tags, openedTag }: Pick<DecryptSettings, 'tags' | 'openedTag'>,
  outcome: 'opened' | 'other',
): void {
  if (tags.length === 0) return
  const isTagged = outcome === 'opened' && openedTag !== ''
  const list = header.header_list
  let tagged = !isTagged
  for (const [at, entry] of list.entries()) {
    if (!SUBJECT.test(entry)) continue
    const field = asField(entry.trimStart())
    const clean = withoutTags(field, tags)
    const wanted = tagged ? clean : withTag(clean, openedTag)
    tagged = true
    if (wanted !== field) list[at] = asEntry(wanted)
  }
  if (!tagged) list.unshift(asEntry(withTag(undefined, openedTag)))
  forgetName(header, 'subject')
}
