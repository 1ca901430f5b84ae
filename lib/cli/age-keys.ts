// `hisho keys new --age`: identities of our own domains for age. docs/age.md.
import { ageRecipientOf, generateAgeIdentity, type AgeKind } from '../container/native-keys.ts'
import { SecretBytes } from '../crypto/secret-bytes.ts'
import { ageIdentitiesOf, withAgeIdentity, withRetiredIdentity } from '../vault/age-identities.ts'
import type { Context } from './context.ts'
import { checkedId, confirm, freshId } from './keys.ts'
import { openVault } from './vault-session.ts'

export interface NewIdentityOptions {
  readonly domain: string
  readonly kind: AgeKind
  readonly id: string | undefined
}

export async function newAgeIdentity(
  context: Context,
  { domain, kind, id }: NewIdentityOptions,
): Promise<void> {
  const { terminal } = context
  const vault = await openVault(context)
  const created = new Date(context.clock.nowMs()).toISOString()
  const identity = generateAgeIdentity(kind)
  const entry = {
    id: id === undefined ? freshId(created) : checkedId(id),
    identity: new SecretBytes(new TextEncoder().encode(identity)),
    created,
  }
  await vault.save(withAgeIdentity(vault.contents, domain, entry))
  terminal.note(`age identity ${entry.id} of ${domain} is in the vault. For the tables of others:`)
  terminal.line(ageRecipientOf(identity))
}

export async function retireAgeIdentity(
  context: Context,
  { domain, id }: { readonly domain: string; readonly id: string },
  { yes }: { readonly yes: boolean },
): Promise<void> {
  const vault = await openVault(context)
  const retired = new Date(context.clock.nowMs()).toISOString()
  const contents = withRetiredIdentity(vault.contents, domain, id, retired)
  const left = ageIdentitiesOf(contents, domain).filter((entry) => entry.retired === undefined)
  const fate = `What is sealed for it does not open any more; ${left.length} of ${domain} are left.`
  if (!yes) await confirm(`Retire ${id}? ${fate}`)
  await vault.save(contents)
  context.terminal.line(`age identity ${id} of ${domain} is retired. ${fate}`)
}
