// Who is asked for a domain's records, in order of trust. docs/trust.md.
import type { Answer } from '../../dns/records.ts'
import type { Resolver } from '../../dns/resolver.ts'
import { TempError } from '../../errors.ts'
import type { TextOutcome } from '../../http/fetch-text.ts'
import type { TrustSource } from '../../mail/scheme.ts'
import { isParameterRecord } from '../parameters.ts'
import { RECORD_LABEL } from './records.ts'

/** HTTPS has no TTL. */
const WELL_KNOWN_TTL_SECONDS = 3600

export interface SourcesOptions {
  readonly resolver: Pick<Resolver, 'resolve'>
  /** DNS over HTTPS to the resolver that the operator named. Its `authentic` is the AD bit, where that is believed. */
  readonly doh?: Pick<Resolver, 'resolve'>
  /** The text at https://ibemail.<domain>/.well-known/ibemail.txt. */
  readonly wellKnown?: (domain: string) => Promise<TextOutcome>
  readonly log: (level: 'warn', message: string) => void
}

export interface Evidence {
  /** Undefined: nobody vouches for it. */
  readonly authenticatedBy: TrustSource | undefined
  readonly texts: readonly string[]
  readonly ttlSeconds: number
}

export interface PublishedTexts {
  readonly texts: readonly string[]
  readonly ttlSeconds: number
  readonly authentic: boolean
}

export interface Sources {
  /** TempError: nobody can say. */
  ask(domain: string, trust: readonly TrustSource[]): Promise<Evidence>
  /** By plain DNS alone. */
  published(domain: string): Promise<PublishedTexts>
}

export function createSources({ resolver, doh, wellKnown, log }: SourcesOptions): Sources {
  const published: Sources['published'] = (domain) => txtOf(resolver, domain)

  const askDoh = async (domain: string): Promise<PublishedTexts | TempError | undefined> =>
    doh && answerOrFailure(txtOf(doh, domain))

  /** Undefined: nothing there. */
  const askWellKnown = async (domain: string): Promise<TextOutcome | undefined> => {
    const outcome = await wellKnown?.(domain)
    if (outcome?.status === 'unusable')
      log('warn', `${domain}: its /.well-known/ibemail.txt is of no use: ${outcome.reason}`)
    return outcome?.status === 'absent' ? undefined : outcome
  }

  return {
    published,
    async ask(domain, trust) {
      const may = new Set(trust)
      const plain = await answerOrFailure(published(domain))
      if (may.has('dnssec') && isAnswer(plain) && plain.authentic) return by('dnssec', plain)

      const overHttps = may.has('doh') || may.has('dnssec') ? await askDoh(domain) : undefined
      if (isAnswer(overHttps)) {
        if (may.has('dnssec') && overHttps.authentic) return by('dnssec', overHttps)
        if (may.has('doh') && hasRecords(overHttps)) return by('doh', overHttps)
      } else if (overHttps) log('warn', `${domain}: DNS over HTTPS: ${overHttps.message}`)

      const file = may.has('well_known') ? await askWellKnown(domain) : undefined
      if (file?.status === 'found') {
        const texts = file.text.split(/\r?\n/).filter((line) => line.trim() !== '')
        if (texts.some(isParameterRecord))
          return { authenticatedBy: 'well_known', texts, ttlSeconds: WELL_KNOWN_TTL_SECONDS }
      }

      // Plain DNS that fails may hide what an attacker does not want us to see.
      if (!isAnswer(plain)) throw plain
      const empty = file?.status !== 'unusable'
      if (may.has('doh') && isAnswer(overHttps) && empty) return by('doh', overHttps)
      // Deferred, where else the answer of a source that is only away would be guessed.
      if (overHttps && !isAnswer(overHttps) && !may.has('continuity')) throw overHttps
      return by(undefined, plain)
    },
  }
}

function by(authenticatedBy: TrustSource | undefined, answer: PublishedTexts): Evidence {
  const { texts, ttlSeconds } = answer
  return { authenticatedBy, texts, ttlSeconds }
}

function hasRecords({ texts }: PublishedTexts): boolean {
  return texts.some(isParameterRecord)
}

function isAnswer(outcome: PublishedTexts | TempError | undefined): outcome is PublishedTexts {
  return outcome !== undefined && !(outcome instanceof TempError)
}

async function answerOrFailure(work: Promise<PublishedTexts>): Promise<PublishedTexts | TempError> {
  try {
    return await work
  } catch (error) {
    if (error instanceof TempError) return error
    throw error
  }
}

async function txtOf(resolver: Pick<Resolver, 'resolve'>, domain: string): Promise<PublishedTexts> {
  const answer: Answer<'TXT'> = await resolver.resolve(`${RECORD_LABEL}.${domain}`, 'TXT')
  const { ttlSeconds, authentic } = answer
  if (answer.status !== 'found') return { texts: [], ttlSeconds, authentic }
  // The strings of one record are joined without a space (docs/formats.md section 1).
  const texts = answer.records.map((strings) => Buffer.concat([...strings]).toString('utf8'))
  return { texts, ttlSeconds, authentic }
}
