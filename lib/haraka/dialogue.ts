// What a server says until it is settled how mail goes to it: which line goes on to Haraka, and which ends the attempt.
// RFC 5321 section 4.2, RFC 3207. Of Haraka's objects it knows none.

export interface DialogueOptions {
  /** `wanted`: TLS if it is offered; `hidden`: Haraka is not to see the offer. */
  readonly tls: 'needed' | 'wanted' | 'hidden'
  /** Whether REQUIRETLS must be offered within TLS: RFC 8689 section 4.2.1. */
  readonly requireTls: boolean
}

export type Ending =
  /** Nothing that TLS had a part in. */
  | { readonly cause: 'server'; readonly reason: string }
  | {
      readonly cause: 'tls'
      readonly resultType: 'starttls-not-supported' | 'validation-failure'
      readonly reason: string
    }

export type Step =
  | { readonly kind: 'pass'; readonly line: string }
  /** The server has passed: what comes now is Haraka's own business. */
  | { readonly kind: 'open'; readonly line: string }
  /** As `open`, and without TLS. `lacks`: the server does not offer it. */
  | { readonly kind: 'clear'; readonly line: string; readonly lacks: string | undefined }
  /** To the next host. */
  | { readonly kind: 'end'; readonly ending: Ending }

export interface Dialogue {
  readonly isOpen: boolean
  /** A line of the server, its end included. `more`: whether more came with it. */
  read(line: string, more: boolean): Step
  /** A command of Haraka's. `clear`: Haraka goes on without TLS, by the operator's own settings. */
  write(command: string): 'pass' | 'clear' | 'blocked'
  /** The handshake is done, and the judge has said yes. */
  secure(): void
  /** The connection is lost. */
  lost(reason: string): Ending
}

/** As Haraka reads it: RFC 5321 section 4.2, with more tolerance. */
const ANSWER = /^([2345]\d\d)([ -])#?(?:\d\.\d\.\d\s)?(.*)/

type Phase = 'greeting' | 'hello' | 'starttls' | 'handshake' | 'secured' | 'open'

export function createDialogue({ tls, requireTls }: DialogueOptions): Dialogue {
  let phase: Phase = 'greeting'
  let verb = ''
  let refusesEhlo: string | undefined
  let offered = new Set<string>()

  const inClear = (line: string, lacks: string | undefined): Step => {
    phase = 'open'
    return { kind: 'clear', line, lacks }
  }
  const pass = (line: string): Step => ({ kind: 'pass', line })

  const readHello = (line: string, answer: Answer): Step => {
    const { code, keyword, isLast } = answer
    offered.add(keyword)
    const shown = keyword === 'STARTTLS' ? shownOffer(answer) : line
    if (!isLast) return pass(shown)
    if (code.startsWith('4')) return refusal(`it answers ${verb}`, answer)
    if (!code.startsWith('2')) {
      if (verb !== 'EHLO') return refusal(`it answers ${verb}`, answer)
      if (tls === 'needed') return noStartTls(`it refuses EHLO (${words(answer)})`)
      refusesEhlo = `it refuses EHLO (${words(answer)})`
      return pass(line) // Haraka tries HELO
    }
    if (tls === 'hidden') return inClear(shown, undefined)
    if (verb !== 'HELO' && offered.has('STARTTLS')) return pass(shown)
    const lacks = refusesEhlo ?? 'it does not offer STARTTLS'
    return tls === 'needed' ? noStartTls(lacks) : inClear(shown, lacks)
  }

  /** Hidden, or in the one spelling that Haraka knows. */
  const shownOffer = ({ code, isLast }: Answer): string =>
    `${code}${isLast ? ' ' : '-'}${tls === 'hidden' ? 'HIDDEN' : 'STARTTLS'}\r\n`

  const readStartTls = (line: string, answer: Answer, more: boolean): Step => {
    const { code, isLast } = answer
    if (!isLast) return pass(line)
    if (/^[45]/.test(code)) return noStartTls(`it refuses STARTTLS (${words(answer)})`)
    if (code !== '220') return invalid(`it answers STARTTLS with ${words(answer)}`)
    // A man in the middle could put words into the server's mouth, to be read as if they had come over TLS.
    if (more) return invalid('it said more in clear after its answer to STARTTLS')
    phase = 'handshake'
    return pass(line)
  }

  const readSecured = (line: string, answer: Answer): Step => {
    const { code, keyword, isLast } = answer
    offered.add(keyword)
    if (!isLast) return pass(line)
    if (code.startsWith('5') && verb === 'EHLO' && !requireTls) return pass(line)
    if (!code.startsWith('2')) return refusal(`it answers ${verb} within TLS`, answer)
    if (requireTls && !offered.has('REQUIRETLS')) return refused('it does not offer REQUIRETLS')
    phase = 'open'
    return { kind: 'open', line }
  }

  return {
    get isOpen() {
      return phase === 'open'
    },
    read(line, more) {
      if (phase === 'open') return pass(line)
      const answer = parseAnswer(line)
      if (phase === 'handshake') return invalid('it speaks in clear where TLS begins')
      if (!answer)
        return phase === 'starttls'
          ? invalid('its answer to STARTTLS is none of SMTP')
          : refused('what it says is no SMTP')
      switch (phase) {
        case 'greeting':
          if (!answer.isLast || answer.code.startsWith('2')) return pass(line)
          return refusal('it greets', answer)
        case 'hello':
          return readHello(line, answer)
        case 'starttls':
          return readStartTls(line, answer, more)
        case 'secured':
          return readSecured(line, answer)
      }
    },
    write(command) {
      verb = /^[A-Za-z]*/.exec(command)?.[0].toUpperCase() ?? ''
      if (phase === 'open' || verb === 'QUIT') return 'pass'
      switch (verb) {
        case 'EHLO':
        case 'LHLO':
          offered = new Set()
          if (phase === 'greeting') phase = 'hello'
          return phase === 'hello' || phase === 'secured' ? 'pass' : 'blocked'
        case 'HELO':
          if (phase === 'secured') return requireTls ? 'blocked' : 'pass'
          return phase === 'hello' && tls !== 'needed' ? 'pass' : 'blocked'
        case 'STARTTLS':
          if (phase !== 'hello' || tls === 'hidden') return 'blocked'
          phase = 'starttls'
          return 'pass'
        default:
          // An offer that Haraka does not take: no_tls_hosts, or its list of hosts that failed.
          if (phase !== 'hello' || tls === 'needed') return 'blocked'
          phase = 'open'
          return 'clear'
      }
    },
    secure() {
      phase = 'secured'
    },
    lost(reason) {
      return phase === 'greeting' || phase === 'hello' || phase === 'open'
        ? { cause: 'server', reason }
        : { cause: 'tls', resultType: 'validation-failure', reason: `TLS failed: ${reason}` }
    },
  }
}

interface Answer {
  readonly code: string
  readonly isLast: boolean
  readonly text: string
  readonly keyword: string
}

function parseAnswer(line: string): Answer | undefined {
  const [whole, code = '', separator, text = ''] = ANSWER.exec(line) ?? []
  if (whole === undefined) return undefined
  return { code, isLast: separator === ' ', text, keyword: text.trim().toUpperCase() }
}

const MAX_QUOTED = 120

/** For the log and the sender: printable and short, whatever the server said. */
function words({ code, text }: Answer): string {
  return `${code} ${text.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, MAX_QUOTED)}`.trim()
}

function refusal(what: string, answer: Answer): Step {
  return refused(`${what} with ${words(answer)}`)
}

function refused(reason: string): Step {
  return { kind: 'end', ending: { cause: 'server', reason } }
}

function noStartTls(reason: string): Step {
  return { kind: 'end', ending: { cause: 'tls', resultType: 'starttls-not-supported', reason } }
}

function invalid(reason: string): Step {
  return { kind: 'end', ending: { cause: 'tls', resultType: 'validation-failure', reason } }
}
