// Domains that sign, as the tests of signatures need them: real keys and real threads, parameters in a literal.
import { SecretBytes } from '../../../lib/crypto/secret-bytes.ts'
import { createIbe, createIbePool } from '../../../lib/ibe/ibe.ts'
import { createMasterKeySource, type MasterKey } from '../../../lib/ibe/key-source.ts'
import type { Parameters } from '../../../lib/ibe/parameters.ts'
import type { PeriodKind } from '../../../lib/ibe/period.ts'
import { SIGNER_DST } from '../../../lib/ibe/signature/cha-cheon.ts'
import { createSignatureEngine } from '../../../lib/ibe/signature/engine.ts'
import { headerDigest } from '../../../lib/ibe/signature/signed-fields.ts'
import { createIbeSignatures } from '../../../lib/ibe/signature/signatures.ts'
import type { SignatureDirectory } from '../../../lib/ibe/signature/verify.ts'
import { parseFields, type Field } from '../../../lib/mail/header.ts'
import { readMessage, type Message } from '../../../lib/mail/message.ts'
import { TRUST_SOURCES } from '../../../lib/mail/scheme.ts'
import type { SignatureResult, Signatures } from '../../../lib/mail/signature.ts'
import { bytesOf, cut } from '../../mail/pieces.ts'
import { fakeClock, type FakeClock } from '../fake-clock.ts'

export interface SigningWorld {
  readonly clock: FakeClock
  readonly signatures: Signatures
  readonly log: readonly string[]
  /** What each domain publishes: changed by tests. */
  readonly published: Map<string, Parameters<'cc'>[]>
  /** Thrown by the directory for this domain. */
  readonly failures: Map<string, Error>
  /** Signs and puts the field on top. */
  sign(text: string, options?: { readonly address?: string; readonly n?: number }): Promise<string>
  /** As somebody with these keys may sign who does not use our code: the field up to `b=` is given, and what follows its value. */
  signAs(text: string, as: Hand): Promise<string>
  verify(text: string): Promise<SignatureResult>
  close(): Promise<void>
}

export interface Hand {
  readonly domain: string
  readonly n: number
  /** Whose key signs. */
  readonly identity: string
  readonly names: readonly string[]
  readonly head: string
  readonly tail?: string
}

export interface SigningDomain {
  readonly domain: string
  readonly n: number
  readonly period: PeriodKind
}

const DOMAINS: readonly SigningDomain[] = [
  { domain: 'a.example', n: 1, period: 'month' },
  { domain: 'evil.example', n: 1, period: 'month' },
  { domain: 'day.example', n: 7, period: 'day' },
  { domain: 'none.example', n: 0, period: 'none' },
]

export async function startSigning(
  options: { readonly domains?: readonly SigningDomain[]; readonly lifetimeSeconds?: number } = {},
): Promise<SigningWorld> {
  const { domains = DOMAINS, lifetimeSeconds } = options
  const clock = fakeClock()
  const pool = createIbePool({ size: 1, queueLimit: 1000 })
  const ibe = createIbe({ pool, clock })
  const published = new Map<string, Parameters<'cc'>[]>()
  const masterKeys = new Map<string, MasterKey[]>()
  const failures = new Map<string, Error>()
  const log: string[] = []
  for (const { domain, n, period } of domains) {
    const masterKey = await ibe.generateMasterKey()
    const publicKey = await ibe.publicKey(masterKey)
    const parameters = { version: '2.0', scheme: 'cc', n, period, publicKey } as const
    published.set(domain, [...(published.get(domain) ?? []), parameters])
    masterKeys.set(domain, [{ n, period, masterKey }, ...(masterKeys.get(domain) ?? [])])
  }
  const none = (): Promise<SecretBytes> => Promise.reject(new Error('these keys sign only'))
  const keys = createMasterKeySource({
    clock,
    masterKeys: async (domain, scheme) => (scheme === 'cc' ? (masterKeys.get(domain) ?? []) : []),
    extract: {
      bf: none,
      bb2: none,
      cc: (masterKey, identity) => ibe.extract(masterKey, identity, SIGNER_DST),
    },
  })
  const parametersOf = async (domain: string): Promise<readonly Parameters<'cc'>[]> => {
    const failure = failures.get(domain)
    if (failure) throw failure
    return published.get(domain) ?? []
  }
  const directory: SignatureDirectory = {
    signatureParameters: async (domain, n) =>
      (await parametersOf(domain)).find((one) => one.n === n),
    publishedSerials: async (domain) => (await parametersOf(domain)).map(({ n }) => n),
  }
  const engine = createSignatureEngine({ pool })
  const signatures = createIbeSignatures({
    engine,
    keys,
    directory,
    ownGenerations: parametersOf,
    clock,
    log: (level, line) => log.push(`${level} ${line}`),
    ...(lifetimeSeconds === undefined ? {} : { lifetimeSeconds }),
  })
  return {
    clock,
    signatures,
    log,
    published,
    failures,
    async sign(text, { address = 'alice@a.example', n } = {}) {
      const domain = address.slice(address.lastIndexOf('@') + 1)
      const generation = (await keys.generations(domain, 'cc')).find(
        (one) => n === undefined || one.n === n,
      )!
      const field = await signatures.sign(await message(text), address, generation)
      return fieldText(field) + text
    },
    async signAs(text, { domain, n, identity, names, head, tail = '' }) {
      const { fields } = await message(text)
      const [own] = parseFields(bytesOf(`${head}${tail}\r\n`))
      const identityKey = await keys.identityKey({ scheme: 'cc', domain, n, identity })
      const digest = headerDigest(fields, names, own!)
      const signature = await engine.sign({ identityKey: identityKey!, identity, digest })
      identityKey!.wipe()
      return `${head}${Buffer.from(signature).toString('base64')}${tail}\r\n${text}`
    },
    verify: async (text) => signatures.verify(await message(text), TRUST_SOURCES),
    async close() {
      ibe.close()
      keys.held.clear()
      await pool.close()
    },
  }
}

/** In pieces, as it would come. */
async function message(text: string): Promise<Message> {
  return readMessage(cut(bytesOf(text), [7, 50, 51, 300]))
}

function fieldText(field: Field): string {
  return Buffer.from(field.raw).toString('latin1')
}
