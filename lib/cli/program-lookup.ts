// The words of the command line that are about keys of others.
import { Option, type Command } from 'commander'
import { PermError } from '../errors.ts'
import type { KeyKind } from '../mail/correspondent-keys.ts'
import { showKeyRecord } from './key-record.ts'
import { lookUp } from './lookup.ts'
import { acceptKey, forgetKeys, listPins } from './pins.ts'
import type { Run } from './program.ts'

interface OfKind {
  readonly kind?: KeyKind
}

const kindOption = (): Option =>
  new Option('--kind <kind>', 'of this kind only').choices(['openpgp', 'smime'])

export function addLookup(program: Command, run: Run): void {
  program
    .command('lookup')
    .description('what mail to an address would be sealed with now, from where, and how trusted')
    .argument('<address>')
    .option('--json', 'for scripts')
    .action((address: string, { json = false }: { json?: boolean }) =>
      run((context) => lookUp(context, address, { json })),
    )
}

export function addPins(keys: Command, run: Run): void {
  keys
    .command('pins')
    .description('keys of others that were seen first, and others that wait for your word')
    .argument('[address]')
    .option('--json', 'for scripts')
    .action((address: string | undefined, { json = false }: { json?: boolean }) =>
      run((context) => listPins(context, address, { json })),
    )
  keys
    .command('accept')
    .description('your word that a key is the one of this address')
    .argument('<address>')
    .argument('<fingerprint>', 'as the owner has told it you, by telephone')
    .addOption(kindOption())
    .action((address: string, fingerprint: string, { kind }: OfKind) =>
      run((context) => acceptKey(context, { address, kind }, fingerprint)),
    )
  keys
    .command('forget')
    .description('what was learnt of the keys of an address')
    .argument('<address>')
    .addOption(kindOption())
    .action((address: string, { kind }: OfKind) =>
      run((context) => forgetKeys(context, { address, kind })),
    )
  keys
    .command('dns')
    .description('the record that publishes a key of ours, for a zone with DNSSEC')
    .option('--openpgp <address>', 'as OPENPGPKEY')
    .option('--smime <address>', 'as SMIMEA')
    .action(({ openpgp, smime }: Partial<Record<KeyKind, string>>) => {
      if (openpgp !== undefined && smime === undefined)
        return run((context) => showKeyRecord(context, 'openpgp', openpgp))
      if (smime !== undefined && openpgp === undefined)
        return run((context) => showKeyRecord(context, 'smime', smime))
      throw new PermError('cli/usage', 'one of --openpgp ADDRESS and --smime ADDRESS')
    })
}
