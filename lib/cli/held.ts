// `hisho held`: mail that waits for a key. What is asked for here, a running Haraka does.
import { PermError } from '../errors.ts'
import { parseDomainTable } from '../protection/domain-table.ts'
import type { HeldMail, Request } from '../protection/held/held-mail.ts'
import { createHeldStore, type HeldStore } from '../protection/held/store.ts'
import { SCHEME_KINDS } from '../services/schemes.ts'
import type { Context } from './context.ts'
import { askYes, isInteractive } from './prompt.ts'
import { readTable } from './table-edit.ts'
import { formatTable } from './terminal.ts'

const DAY_MS = 86_400_000

export async function listHeld(
  context: Context,
  { json }: { readonly json: boolean },
): Promise<void> {
  const { terminal } = context
  const store = storeOf(context)
  const all = await store.list()
  const rows = await Promise.all(
    all.map(async (mail) => ({ mail, request: await store.requestFor(mail.id) })),
  )
  if (json) return terminal.json(rows.map(({ mail, request }) => view(context, mail, request)))
  if (rows.length === 0) return terminal.line('nothing is held')
  terminal.line(
    formatTable(
      ['ID', 'SINCE', 'FROM', 'TO', 'SIZE', 'ASKED FOR', 'WHY'],
      rows.map(({ mail, request }) => [
        mail.id,
        mail.since.slice(0, 16),
        mail.sender === '' ? '<>' : mail.sender,
        mail.recipients.join(','),
        String(mail.sizeBytes),
        request ?? '',
        mail.reason,
      ]),
    ),
  )
}

/** `message`: the message itself, as it came. */
export async function showHeld(
  context: Context,
  id: string,
  what: 'envelope' | 'message',
): Promise<void> {
  const { terminal } = context
  const store = storeOf(context)
  const mail = await store.get(id)
  if (what === 'envelope') return terminal.json(view(context, mail, await store.requestFor(id)))
  for await (const piece of store.message(id)) await terminal.write(piece)
}

function view(context: Context, mail: HeldMail, request: Request | undefined): object {
  const { id, since, sender, recipients, reason, raisedBy, author, messageId, sizeBytes } = mail
  const { days } = context.settings().held
  const expires = new Date(Date.parse(since) + days * DAY_MS).toISOString()
  const envelope = { id, since, expires, sender, recipients, reason, raisedBy, author }
  return { ...envelope, messageId, sizeBytes, request }
}

export interface ReleaseOptions {
  /** In clear as well, where the table leaves the choice. */
  readonly plain: boolean
  readonly yes: boolean
}

export async function releaseHeld(
  context: Context,
  ids: readonly string[],
  { plain, yes }: ReleaseOptions,
): Promise<void> {
  const store = storeOf(context)
  const mails = await Promise.all(ids.map((id) => store.get(id)))
  if (plain) {
    await refuseRequired(context, mails)
    if (!yes)
      await confirm(`send in clear to ${mails.flatMap(({ recipients }) => recipients).join(', ')}?`)
  }
  await ask(context, store, mails, plain ? 'release-plain' : 'release')
}

export interface DropOptions {
  /** Nobody is told. */
  readonly silent: boolean
  readonly yes: boolean
}

export async function dropHeld(
  context: Context,
  ids: readonly string[],
  { silent, yes }: DropOptions,
): Promise<void> {
  const store = storeOf(context)
  const mails = await Promise.all(ids.map((id) => store.get(id)))
  if (silent && !yes) await confirm('drop it without a word to its sender?')
  await ask(context, store, mails, silent ? 'drop-silently' : 'drop')
}

/** Haraka looks once more; here the operator is told at once. */
async function refuseRequired(context: Context, mails: readonly HeldMail[]): Promise<void> {
  const { tableFile } = context.settings()
  const table = parseDomainTable(await readTable(tableFile), tableFile, SCHEME_KINDS)
  for (const { id, recipients, raisedBy } of mails) {
    const strict = recipients.find(
      (address) => table.ruleForAddress(address).encrypt === 'required',
    )
    if (strict === undefined && raisedBy === undefined) continue
    const why =
      strict === undefined
        ? `its sender asked for encryption (${raisedBy})`
        : `encryption is required for ${strict}`
    throw new PermError('protection/refused', `${id}: ${why}: it cannot go in clear`)
  }
}

async function confirm(question: string): Promise<void> {
  if (!isInteractive()) throw new PermError('cli/usage', `${question} Say --yes`)
  if (!(await askYes(question))) throw new PermError('cli/usage', 'nothing was done')
}

async function ask(
  { terminal }: Context,
  store: HeldStore,
  mails: readonly HeldMail[],
  request: Request,
): Promise<void> {
  for (const { id } of mails) await store.ask(id, request)
  terminal.line(`${request}: a running Haraka does it within seconds; its log tells`)
}

function storeOf(context: Context): HeldStore {
  const { directory } = context.settings().held
  return createHeldStore({ directory, clock: context.clock, log: context.log })
}
