// The words of the command line about a KGC on a machine of its own.
import type { Command } from 'commander'
import { serveKgc } from './kgc-serve.ts'
import { trustKgc } from './kgc-trust.ts'
import type { Run } from './program.ts'

export function addKgcServer(kgc: Command, run: Run): void {
  kgc
    .command('serve')
    .description('give identity keys to gateways on other machines (hisho.kgc.ini), until SIGTERM')
    .action(async () => {
      await run((context) => serveKgc(context))
    })
  kgc
    .command('trust')
    .description('on a gateway: take the public keys that the KGC has now for its own')
    .option('--yes', 'do not ask')
    .action(async ({ yes = false }: { yes?: boolean }) => {
      await run((context) => trustKgc(context, { yes }))
    })
}
