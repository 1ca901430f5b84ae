// `hisho encrypt`: a message on stdin, the same one sealed on stdout.
import { PermError, TempError } from '../errors.ts'
import { mailboxesIn } from '../mail/address.ts'
import type { Field } from '../mail/header.ts'
import { collect, messageBytes, peekBody, readMessage } from '../mail/message.ts'
import { PEEK_BYTES, protectionOf } from '../mail/protected-content.ts'
import type { Offer } from '../mail/scheme.ts'
import type { Services } from '../services/services.ts'
import type { Context } from './context.ts'
import { readRawMessage, writeMessage } from './message-io.ts'
import type { Terminal } from './terminal.ts'

/** Never a clear message on stdout: what cannot be sealed is an error. Ciphertext of any kind goes on as it came. */
export async function encrypt(
  context: Context,
  source: AsyncIterable<Uint8Array>,
  recipients: readonly string[],
): Promise<void> {
  const { terminal } = context
  const services = context.services('with-table')
  const raw = await readRawMessage(source)
  const { start, message } = await peekBody(await readMessage([raw.bytes]), PEEK_BYTES)
  const already = protectionOf(message, start)
  if (already) {
    terminal.note(`hisho: encrypted already (${already}), not again`)
    return terminal.write(raw.original)
  }
  const addresses = addressees(message.fields, recipients, services)
  const domain = onlyDomain(addresses)
  const offer = await offerFor(domain, addresses, services, terminal)
  const sealed = await collect(messageBytes(offer.seal(addresses, message, { author: undefined })))
  await writeMessage(terminal, sealed, raw.lineEnd)
}

function addressees(
  fields: readonly Field[],
  recipients: readonly string[],
  { normalizeAddress }: Services,
): string[] {
  const visible = new Set(visibleAddresses(fields, normalizeAddress))
  const wanted = new Set(recipients.map((address) => asUsage(address, normalizeAddress)))
  if (wanted.size === 0) {
    if (visible.size > 0) return [...visible]
    throw new PermError('cli/usage', 'no recipient: neither -r, nor an address in To or Cc')
  }
  const hidden = [...wanted].filter((address) => !visible.has(address))
  if (wanted.size > 1 && hidden.length > 0) {
    // A ciphertext names those who can open it: docs/formats.md section 6.
    throw new PermError(
      'cli/usage',
      `${hidden.join(', ')} is not in To or Cc, and the others would see who else got it: seal a copy for each of those alone`,
    )
  }
  return [...wanted]
}

/** To and Cc of a message in normal form; what is no address that mail could go to is left out. */
export function visibleAddresses(
  fields: readonly Field[],
  normalizeAddress: (address: string) => string,
): string[] {
  const addresses = [...mailboxesIn(fields, 'to'), ...mailboxesIn(fields, 'cc')]
  return addresses.flatMap((address) => {
    try {
      return [normalizeAddress(address)]
    } catch {
      return []
    }
  })
}

/** PermError cli/usage for what is no address. */
export function asUsage(address: string, normalizeAddress: (address: string) => string): string {
  try {
    return normalizeAddress(address)
  } catch (cause) {
    throw new PermError('cli/usage', `${JSON.stringify(address)} is no mail address`, { cause })
  }
}

function onlyDomain(addresses: readonly string[]): string {
  const domains = new Set(addresses.map((address) => address.slice(address.lastIndexOf('@') + 1)))
  const [domain = '', ...others] = domains
  if (others.length === 0) return domain
  throw new PermError(
    'cli/usage',
    `recipients of several domains (${[...domains].join(', ')}): one message is sealed for one domain, name its recipients with -r`,
  )
}

/** One message is sealed in one way: a scheme without a key for one of them is none. */
async function offerFor(
  domain: string,
  addresses: readonly string[],
  services: Services,
  terminal: Terminal,
): Promise<Offer> {
  const table = services.table.current()
  const [rule, ...others] = new Set(addresses.map((address) => table.ruleForAddress(address)))
  if (!rule || others.length > 0)
    throw new PermError(
      'cli/usage',
      `recipients with lines of their own in the table (${[rule, ...others].map((one) => one?.pattern).join(', ')}): seal a copy for each`,
    )
  const { schemes, paramsTrust, settings, encrypt } = rule
  for (const name of schemes) {
    const scheme = services.schemes.find((known) => known.name === name)
    const offer = await scheme?.offer({ domain, addresses, trust: paramsTrust, settings })
    const covered = new Set(offer?.addresses ?? addresses)
    if (addresses.some((address) => !covered.has(address))) continue
    if (offer?.untrusted !== undefined && encrypt === 'required')
      throw new TempError('keys/untrusted', `${domain}: ${offer.untrusted}`)
    if (offer?.untrusted !== undefined) terminal.note(`hisho: ${domain}: ${offer.untrusted}`)
    if (offer) return offer
  }
  throw new PermError('protection/no-key', `there is no key for ${domain}`)
}
