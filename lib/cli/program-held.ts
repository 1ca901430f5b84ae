// The words of `hisho held`.
import type { Command } from 'commander'
import { dropHeld, listHeld, releaseHeld, showHeld } from './held.ts'
import type { Run } from './program.ts'

export function addHeld(program: Command, run: Run): void {
  const held = program.command('held').description('mail that waits for a key')
  held
    .command('list')
    .option('--json', 'for scripts')
    .action(async ({ json = false }: { readonly json?: boolean }) => {
      await run((context) => listHeld(context, { json }))
    })
  held
    .command('show')
    .description('its envelope, and why it waits')
    .argument('<id>', 'as in the list')
    .option('--message', 'the message itself, in clear')
    .action(async (id: string, { message = false }: { readonly message?: boolean }) => {
      await run((context) => showHeld(context, id, message ? 'message' : 'envelope'))
    })
  held
    .command('release')
    .description('send it now, as the table says now')
    .argument('<id...>', 'as in the list')
    .option('--plain', 'in clear where there is no key; not where encryption is required')
    .option('--yes', 'do not ask')
    .action(
      async (
        ids: readonly string[],
        { plain = false, yes = false }: { readonly plain?: boolean; readonly yes?: boolean },
      ) => {
        await run((context) => releaseHeld(context, ids, { plain, yes }))
      },
    )
  held
    .command('drop')
    .description('take it out, and tell its sender')
    .argument('<id...>', 'as in the list')
    .option('--silent', 'tell nobody')
    .option('--yes', 'do not ask')
    .action(
      async (
        ids: readonly string[],
        { silent = false, yes = false }: { readonly silent?: boolean; readonly yes?: boolean },
      ) => {
        await run((context) => dropHeld(context, ids, { silent, yes }))
      },
    )
}
