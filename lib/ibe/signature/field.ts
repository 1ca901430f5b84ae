// The IBE-Signature field: a tag list as that of DKIM-Signature (RFC 6376 sections 3.2 and 3.5). docs/formats.md, "Signature".
import { PermError } from '../../errors.ts'
import { relaxedField } from '../../mail/canonical.ts'
import { fieldValue, type Field } from '../../mail/header.ts'
import { normalizeAddress } from '../identity.ts'
import { normalizeDomain } from '../mail-domain.ts'
import { isPeriod } from '../period.ts'
import { decodeStrict, parseSerial, parseTagList, takeTag, type Refuse } from '../tag-list.ts'
import { SIGNATURE_BYTES } from './cha-cheon.ts'
import { DIGEST_BYTES } from './jobs.ts'

const SIGNATURE_NAME = 'IBE-Signature'
export const SIGNATURE_FIELD = SIGNATURE_NAME.toLowerCase()
export const LIFETIME_LIMIT_SECONDS = 30 * 86_400

const VERSION = '2'
const ALGORITHM = 'cc-bls12-381'
const CANONICALIZATION = 'relaxed/relaxed'
const TAGS = new Set(['v', 'a', 'c', 'd', 'i', 'n', 'p', 't', 'x', 'h', 'bh', 'b', 'record'])
const LINE_MAX_CHARACTERS = 77

export interface SignatureTags {
  /** d: an A-label. */
  readonly domain: string
  /** i: normalised, of that domain. */
  readonly address: string
  readonly n: number
  /** p: absent where identities have none. */
  readonly period?: string
  /** t and x: unix time. */
  readonly timeSeconds: number
  readonly expirySeconds: number
  /** h: lower case, in order. */
  readonly signedFields: readonly string[]
  /** bh */
  readonly bodyHash: Uint8Array
  /** b */
  readonly signature: Uint8Array
}

/** PermError mail/malformed names the tag and the reason, and holds no text of the message. */
export function parseSignatureField(field: Field): SignatureTags {
  const text = fieldValue(field).replaceAll(/[ \t]+/g, ' ')
  const tags = parseTagList(text, refuse)
  const take = (tag: string): string => takeTag(tags, tag, refuse)
  if (take('v') !== VERSION) throw refuse('v', `is not ${VERSION}`)
  if (take('a') !== ALGORITHM) throw refuse('a', `is not ${ALGORITHM}`)
  if (take('c') !== CANONICALIZATION) throw refuse('c', `is not ${CANONICALIZATION}`)
  const domain = parseDomain(take('d'))
  const times = parseTimes(take('t'), take('x'))
  const period = tags.get('p')
  if (period !== undefined && !isPeriod(period)) throw refuse('p', 'is no period')
  return {
    domain,
    address: parseSigner(take('i'), domain),
    n: parseSerial(take('n'), refuse),
    ...(period === undefined ? {} : { period }),
    ...times,
    signedFields: parseNames(take('h')),
    bodyHash: parseBytes('bh', take('bh'), DIGEST_BYTES),
    signature: parseBytes('b', take('b'), SIGNATURE_BYTES),
  }
}

const refuse: Refuse = (tag, reason) => {
  const what = tag === 'record' ? 'the field' : TAGS.has(tag) ? tag : 'a tag'
  return new PermError('mail/malformed', `${SIGNATURE_NAME}: ${what} ${reason}`)
}

function parseDomain(text: string): string {
  try {
    return normalizeDomain(text)
  } catch {
    throw refuse('d', 'is no domain')
  }
}

function parseSigner(text: string, domain: string): string {
  let address: string
  try {
    address = normalizeAddress(decodeQuoted(text))
  } catch {
    throw refuse('i', 'is no address')
  }
  if (address.slice(address.lastIndexOf('@') + 1) !== domain)
    throw refuse('i', 'is not of the domain d')
  return address
}

function parseTimes(t: string, x: string): { timeSeconds: number; expirySeconds: number } {
  const [timeSeconds, expirySeconds] = [parseSeconds('t', t), parseSeconds('x', x)]
  if (expirySeconds <= timeSeconds) throw refuse('x', 'is not after t')
  if (expirySeconds - timeSeconds > LIFETIME_LIMIT_SECONDS)
    throw refuse('x', 'is more than 30 days after t')
  return { timeSeconds, expirySeconds }
}

function parseSeconds(tag: string, text: string): number {
  if (!/^(?:0|[1-9][0-9]{0,11})$/.test(text)) throw refuse(tag, 'is not a unix time')
  return Number(text)
}

function parseNames(text: string): readonly string[] {
  const names = text.split(':').map((name) => name.trim().toLowerCase())
  // RFC 5322 section 3.6.8: the characters of a field name.
  if (!names.every((name) => /^[!-9;-~]+$/.test(name)))
    throw refuse('h', 'is not a list of field names')
  if (!names.includes('from')) throw refuse('h', 'does not hold from') // RFC 6376 section 5.4
  return names
}

function parseBytes(tag: string, text: string, length: number): Uint8Array {
  return decodeStrict(tag, text.replaceAll(/[ \t]/g, ''), length, refuse)
}

/** The field, folded. Without its signature, and so with an empty b, it is what is signed. */
export function formatSignatureField(
  tags: Omit<SignatureTags, 'signature'> & { readonly signature?: Uint8Array },
): Field {
  const names = tags.signedFields
  const tokens = [
    ` v=${VERSION};`,
    ` a=${ALGORITHM};`,
    ` c=${CANONICALIZATION};`,
    ` d=${tags.domain};`,
    ...pieces(` i=${encodeQuoted(tags.address)};`, /(?:=[0-9A-F]{2}|[^]){1,20}/g),
    ` n=${tags.n};`,
    ...(tags.period === undefined ? [] : [` p=${tags.period};`]),
    ` t=${tags.timeSeconds};`,
    ` x=${tags.expirySeconds};`,
    ...names.map((name, at) => `${at ? '' : ' h='}${name}${at === names.length - 1 ? ';' : ':'}`),
    ` bh=${base64(tags.bodyHash)};`,
    ' b=',
  ]
  const unsigned = fieldOf(fold([`${SIGNATURE_NAME}:`], tokens))
  return tags.signature === undefined ? unsigned : withSignature(unsigned, tags.signature)
}

/** The field with the signature that was made over it. */
export function withSignature(unsigned: Field, signature: Uint8Array): Field {
  const lines = Buffer.from(unsigned.raw).toString('latin1').slice(0, -2).split('\r\n')
  return fieldOf(fold(lines, pieces(base64(signature), /.{1,16}/g)))
}

function fieldOf(lines: readonly string[]): Field {
  return { name: SIGNATURE_FIELD, raw: Buffer.from(`${lines.join('\r\n')}\r\n`, 'latin1') }
}

function pieces(text: string, pattern: RegExp): readonly string[] {
  return text.match(pattern) ?? []
}

/** A new line may begin before each token: white space is allowed there by what the tag is. */
function fold(start: readonly string[], tokens: readonly string[]): string[] {
  const lines = [...start]
  for (const token of tokens) {
    const line = lines.pop()!
    if (line.length + token.length <= LINE_MAX_CHARACTERS) lines.push(line + token)
    else lines.push(line, token.startsWith(' ') ? token : ` ${token}`)
  }
  return lines
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}

/** dkim-quoted-printable, RFC 6376 section 2.11: an address may hold what a tag list cannot. */
function encodeQuoted(text: string): string {
  if (/^[!-:<>-~]*$/.test(text)) return text
  return [...new TextEncoder().encode(text)]
    .map((byte) => String.fromCodePoint(byte))
    .map((char) =>
      /^[!-:<>-~]$/.test(char)
        ? char
        : `=${char.codePointAt(0)!.toString(16).toUpperCase().padStart(2, '0')}`,
    )
    .join('')
}

function decodeQuoted(text: string): string {
  const bare = text.replaceAll(/[ \t]/g, '')
  if (!/^(?:[!-:<>-~]|=[0-9A-Fa-f]{2})*$/.test(bare))
    throw refuse('i', 'is not quoted as it must be')
  const percent = bare.replaceAll('%', '%25').replaceAll('=', '%')
  return decodeURIComponent(percent)
}

/** The field as it is signed: relaxed, with an empty b and without its last CRLF (RFC 6376 section 3.7). */
export function signedForm(field: Field): Uint8Array {
  const text = Buffer.from(relaxedField(field)).toString('latin1').slice(0, -2)
  const colon = text.indexOf(':') + 1
  const items = text
    .slice(colon)
    .split(';')
    .map((item) => /^ ?b ?=/.exec(item)?.[0] ?? item)
  return Buffer.from(text.slice(0, colon) + items.join(';'), 'latin1')
}
