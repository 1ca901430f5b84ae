// `hisho keys dns`: the record that publishes a key of ours. RFC 7929, RFC 8162.
import { PermError } from '../errors.ts'
import { dnsRecordOf } from '../key-directory/dns.ts'
import type { KeyKind } from '../mail/correspondent-keys.ts'
import type { Context } from './context.ts'
import { asUsage } from './encrypt.ts'

export async function showKeyRecord(context: Context, kind: KeyKind, given: string): Promise<void> {
  const { ownPublicKeys, normalizeAddress, table } = context.services('with-table')
  const address = asUsage(given, normalizeAddress)
  if (!table.current().isLocal(address.slice(address.lastIndexOf('@') + 1)))
    throw new PermError('cli/usage', `${address} is of no domain of ours`)
  const key = await ownPublicKeys.of(kind, address)
  if (!key) throw new PermError('cli/usage', `the vault has no ${kind} key that names ${address}`)
  context.terminal.line(dnsRecordOf(kind, address, key.bytes))
  context.terminal.note(`Sign the zone: without DNSSEC nobody believes it. Key ${key.fingerprint}`)
}
