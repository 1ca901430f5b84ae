// Chains and TLSA records, and what must come of them: for our own check, and for OpenSSL's beside it.
import { tlsaFor } from '../../lib/dane/tlsa.ts'
import type { DaneCheck } from '../../lib/dane/outcome.ts'
import type { TlsaRecord } from '../../lib/dns/records.ts'
import { AUTHORITY, certify, newKey, type Certified } from './certificates.ts'

export const HOST = 'mx.example.com'
/** A second name, as the next hop of a secure MX record. */
export const NEXT_HOP = 'example.com'

export interface DaneCase {
  readonly title: string
  readonly chain: readonly Certified[]
  readonly records: readonly TlsaRecord[]
  readonly expect: 'match' | Extract<DaneCheck, { status: 'mismatch' }>['resultType']
  /** Where OpenSSL says otherwise, and why. */
  readonly opensslDiffers?: string
}

interface World {
  readonly root: Certified
  readonly middle: Certified
  readonly low: Certified
  /** By low, middle and root. */
  readonly leaf: Certified
  readonly stranger: Certified
}

export const record = (spec: string, { der }: Certified): TlsaRecord => {
  const [usage = 0, selector = 0, matchingType = 0] = spec.split(' ').map(Number)
  return tlsaFor(der, { usage, selector, matchingType })
}

const dns = (name: string): string => `subjectAltName=DNS:${name}`

const authority = (name: string, issuer?: Certified, ...extensions: string[]): Certified =>
  certify(`/CN=${name}`, {
    ...(issuer ? { issuer } : {}),
    extensions: extensions.length > 0 ? extensions : AUTHORITY,
  })

const server = (issuer: Certified, ...extensions: string[]): Certified =>
  certify('/CN=server', { issuer, extensions: extensions.length > 0 ? extensions : [dns(HOST)] })

const withDays = (
  days: number,
  name: string,
  issuer: Certified | undefined,
  extensions: readonly string[],
): Certified => certify(`/CN=${name}`, { ...(issuer ? { issuer } : {}), days, extensions })

/** With certificates made anew. */
export function makeDaneCases(): readonly DaneCase[] {
  const root = authority('root')
  const middle = authority('middle', root)
  const low = authority('low', middle)
  const world = { root, middle, low, leaf: server(low), stranger: authority('stranger') }
  return [
    ...endEntityCases(world),
    ...anchorCases(world),
    ...chainCases(world),
    ...dateCases(world),
    ...constraintCases(world),
    ...nameConstraintCases(),
    ...nameCases(world),
  ]
}

function endEntityCases({ root, low, leaf, middle, stranger }: World): DaneCase[] {
  const own = server(root)
  const stray = server(root, dns('other.example'))
  const wrong = withDays(-1, 'wrong', undefined, [
    dns('other.example'),
    'extendedKeyUsage=clientAuth',
    'keyUsage=critical,cRLSign',
    '1.2.3.4=critical,ASN1:UTF8String:nobody knows',
  ])
  const forms = ['3 0 0', '3 0 1', '3 0 2', '3 1 0', '3 1 1', '3 1 2']
  return [
    ...forms.map((spec): DaneCase => ({
      title: `D19: ${spec} names the server’s own certificate`,
      chain: [own],
      records: [record(spec, own)],
      expect: 'match',
    })),
    {
      title: 'D20: for DANE-EE neither dates nor purpose nor extensions matter',
      chain: [wrong],
      records: [record('3 1 1', wrong)],
      expect: 'match',
    },
    {
      title: 'D24: for DANE-EE no name is checked',
      chain: [stray, root],
      records: [record('3 1 1', stray)],
      expect: 'match',
    },
    {
      title: 'D5: a certificate that no record names is refused',
      chain: [own],
      records: [record('3 1 1', leaf)],
      expect: 'tlsa-invalid',
    },
    {
      title: 'D20: DANE-EE is for the server’s own certificate, not for one above it',
      chain: [leaf, low, middle, root],
      records: [record('3 1 1', low)],
      expect: 'tlsa-invalid',
    },
    {
      title: 'D8: one record that matches is enough, while a key is changed',
      chain: [own],
      records: [record('3 1 1', stranger), record('3 1 1', own)],
      expect: 'match',
    },
    {
      title: 'D8: DANE-EE and DANE-TA are alternatives, and the first one matches',
      chain: [own],
      records: [record('3 1 1', own), record('2 1 1', stranger)],
      expect: 'match',
    },
    {
      title: 'D8: DANE-EE and DANE-TA are alternatives, and the second one matches',
      chain: [leaf, low, middle, root],
      records: [record('3 1 1', stranger), record('2 1 1', root)],
      expect: 'match',
    },
  ]
}

function anchorCases({ root, middle, low, leaf, stranger }: World): DaneCase[] {
  const forms = ['2 0 0', '2 0 1', '2 0 2', '2 1 0', '2 1 1', '2 1 2']
  const sent = [leaf, low, middle]
  const selfSigned = certify('/CN=server', { extensions: [dns(HOST)] })
  return [
    ...forms.map((spec): DaneCase => ({
      title: `D19: ${spec} names the root that is sent, and no root of the Web PKI is needed`,
      chain: [...sent, root],
      records: [record(spec, root)],
      expect: 'match',
    })),
    ...['2 0 1', '2 1 1'].map((spec): DaneCase => ({
      title: `D21: ${spec} names an issuer in the midst of the chain`,
      chain: [...sent, root],
      records: [record(spec, middle)],
      expect: 'match',
    })),
    {
      title: 'D22: 2 0 0 names an anchor that the server does not send',
      chain: sent,
      records: [record('2 0 0', root)],
      expect: 'match',
    },
    {
      title: 'D22: 2 0 0 names an issuer in the midst, without anything above it',
      chain: [leaf],
      records: [record('2 0 0', low)],
      expect: 'match',
    },
    {
      title: 'D22: 2 1 0 names a key that the server does not send',
      chain: sent,
      records: [record('2 1 0', root)],
      expect: 'match',
    },
    {
      title: 'D22: 2 1 0 names the key that signed the server’s own certificate',
      chain: [leaf],
      records: [record('2 1 0', low)],
      expect: 'match',
    },
    {
      title: 'D22: 2 1 0 names a key that signed nothing here',
      chain: sent,
      records: [record('2 1 0', stranger)],
      expect: 'tlsa-invalid',
    },
    ...['2 0 1', '2 1 1'].map((spec): DaneCase => ({
      title: `D22: ${spec} is a digest, so an anchor that is not sent cannot be found`,
      chain: sent,
      records: [record(spec, root)],
      expect: 'tlsa-invalid',
    })),
    {
      title: 'D21: the server’s own certificate is not its own issuer',
      chain: [selfSigned],
      records: [record('2 1 1', selfSigned)],
      expect: 'tlsa-invalid',
    },
    {
      title: 'D21: an anchor that is sent, and issued nothing here, is no proof',
      chain: [leaf, low, middle, root, stranger],
      records: [record('2 1 1', stranger)],
      expect: 'certificate-not-trusted',
    },
  ]
}

function chainCases({ root, middle, low, leaf, stranger }: World): DaneCase[] {
  const forged = authority('low', stranger)
  const twin = certify('/CN=middle', {
    issuer: stranger,
    extensions: AUTHORITY,
    privateKey: middle.privateKey,
  })
  return [
    {
      title: 'D21: a chain may be in any order',
      chain: [leaf, root, middle, low],
      records: [record('2 0 1', root)],
      expect: 'match',
    },
    {
      title: 'D21: a chain may be padded with what does not belong to it',
      chain: [leaf, stranger, root, forged, middle, low],
      records: [record('2 0 1', root)],
      expect: 'match',
    },
    {
      title: 'D21: of two issuers with one key the right one is found',
      chain: [leaf, low, twin, middle, root],
      records: [record('2 0 1', root)],
      expect: 'match',
      opensslDiffers: 'it takes the first issuer that fits and does not go back',
    },
    {
      title: 'D21: an issuer of the right name and with another key is none',
      chain: [server(forged), low, middle, root],
      records: [record('2 0 1', root)],
      expect: 'certificate-not-trusted',
    },
    {
      title: 'D21: a chain with a gap is none',
      chain: [leaf, low, root],
      records: [record('2 0 1', root)],
      expect: 'certificate-not-trusted',
    },
  ]
}

function dateCases({ root, low, middle }: World): DaneCase[] {
  const oldRoot = withDays(-1, 'old', undefined, AUTHORITY)
  const oldMiddle = withDays(-1, 'old', root, AUTHORITY)
  const oldLeaf = withDays(-1, 'server', low, [dns(HOST)])
  return [
    {
      title: 'D21: the server’s own certificate has expired',
      chain: [oldLeaf, low, middle, root],
      records: [record('2 0 1', root)],
      expect: 'certificate-expired',
    },
    {
      title: 'D21: an issuer has expired',
      chain: [server(oldMiddle), oldMiddle, root],
      records: [record('2 0 1', root)],
      expect: 'certificate-expired',
    },
    {
      title: 'D21: the anchor has expired',
      chain: [server(oldRoot), oldRoot],
      records: [record('2 1 1', oldRoot)],
      expect: 'certificate-expired',
    },
  ]
}

function constraintCases({ root }: World): DaneCase[] {
  const below = (title: string, issuer: Certified, ...extensions: string[]): DaneCase => ({
    title: `D21: ${title}`,
    chain: [server(issuer, ...(extensions.length > 0 ? extensions : [dns(HOST)])), issuer, root],
    records: [record('2 0 1', root)],
    expect: 'certificate-not-trusted',
  })
  const plain = authority('plain', root)
  const lengthZero = authority('zero', undefined, 'basicConstraints=critical,CA:TRUE,pathlen:0')
  const lengthOne = authority('one', undefined, 'basicConstraints=critical,CA:TRUE,pathlen:1')
  const underZero = authority('under', lengthZero)
  const underOne = authority('under', lengthOne)
  const renewed = certify('/CN=zero', {
    issuer: lengthZero,
    extensions: ['basicConstraints=critical,CA:TRUE,pathlen:0'],
  })
  return [
    below('an issuer that is no authority', authority('no', root, 'basicConstraints=CA:FALSE')),
    below(
      'an issuer without basic constraints',
      authority('no', root, 'subjectKeyIdentifier=hash'),
    ),
    below(
      'an issuer whose key is not for certificates',
      authority('no', root, 'basicConstraints=critical,CA:TRUE', 'keyUsage=cRLSign'),
    ),
    below(
      'an issuer for clients alone',
      authority('no', root, ...AUTHORITY, 'extendedKeyUsage=clientAuth'),
    ),
    below(
      'an issuer with a critical extension that is unknown',
      authority('no', root, ...AUTHORITY, '1.2.3.4=critical,ASN1:UTF8String:nobody knows'),
    ),
    below('a certificate for clients alone', plain, dns(HOST), 'extendedKeyUsage=clientAuth'),
    below('a certificate whose key is not for TLS', plain, dns(HOST), 'keyUsage=cRLSign'),
    below(
      'a certificate with a critical extension that is unknown',
      plain,
      dns(HOST),
      '1.2.3.4=critical,ASN1:UTF8String:nobody knows',
    ),
    {
      ...below(
        'a certificate for servers and clients',
        plain,
        dns(HOST),
        'extendedKeyUsage=clientAuth,serverAuth',
      ),
      expect: 'match',
    },
    {
      ...below(
        'an extension that is unknown and not critical',
        plain,
        dns(HOST),
        '1.2.3.4=ASN1:UTF8String:nobody knows',
      ),
      expect: 'match',
    },
    {
      ...below(
        'a critical certificate policy, of which any will do',
        plain,
        dns(HOST),
        'certificatePolicies=critical,1.2.3.4',
      ),
      expect: 'match',
    },
    {
      title: 'D21: a path that is longer than an issuer allows',
      chain: [server(underZero), underZero, lengthZero],
      records: [record('2 0 1', lengthZero)],
      expect: 'certificate-not-trusted',
    },
    {
      title: 'D21: a path as long as an issuer allows',
      chain: [server(underOne), underOne, lengthOne],
      records: [record('2 0 1', lengthOne)],
      expect: 'match',
    },
    {
      title: 'D21: an issuer that issued to itself is not counted in the path’s length',
      chain: [server(renewed), renewed, lengthZero],
      records: [record('2 0 1', lengthZero)],
      expect: 'match',
    },
  ]
}

function nameConstraintCases(): DaneCase[] {
  const under = (
    title: string,
    constraints: string,
    expect: DaneCase['expect'],
    ...extensions: string[]
  ): DaneCase => {
    const issuer = authority('limited', undefined, ...AUTHORITY, `nameConstraints=${constraints}`)
    return {
      title: `D21: name constraints: ${title}`,
      chain: [
        certify('/', { issuer, extensions: extensions.length > 0 ? extensions : [dns(HOST)] }),
        issuer,
      ],
      records: [record('2 0 1', issuer)],
      expect,
    }
  }
  const refused = 'certificate-not-trusted'
  return [
    under('a name within what is permitted', 'critical,permitted;DNS:example.com', 'match'),
    under('a name outside of what is permitted', 'critical,permitted;DNS:example.org', refused),
    under('a name that only ends alike', 'critical,permitted;DNS:ample.com', refused),
    under('a name that is excluded', 'critical,excluded;DNS:example.com', refused),
    under('not critical, and kept all the same', 'permitted;DNS:example.org', refused),
    under(
      'of the names of one certificate each counts',
      'critical,permitted;DNS:example.com',
      refused,
      `${dns(HOST)},DNS:example.org`,
    ),
    under(
      'another kind, of which there is no name',
      'critical,permitted;email:example.org',
      'match',
    ),
    {
      ...under(
        'another kind, of which there is a name',
        'critical,permitted;IP:192.0.2.0/255.255.255.0',
        refused,
        `${dns(HOST)},IP:192.0.2.1`,
      ),
      opensslDiffers: 'it compares addresses, and we refuse what we do not compare',
    },
  ]
}

function nameCases({ root }: World): DaneCase[] {
  const called = (
    title: string,
    subject: string,
    names: string | undefined,
    expect: DaneCase['expect'],
  ): DaneCase => {
    const leaf = certify(subject, {
      issuer: root,
      extensions: names === undefined ? [] : [`subjectAltName=${names}`],
    })
    return { title, chain: [leaf, root], records: [record('2 0 1', root)], expect }
  }
  const other = 'certificate-host-mismatch'
  return [
    called('D25: the base domain is a name of the server', '/CN=x', `DNS:${HOST}`, 'match'),
    {
      ...called(
        'D25: the next hop is a name of the server too',
        '/CN=x',
        `DNS:${NEXT_HOP}`,
        'match',
      ),
      opensslDiffers: 'its command line takes one name',
    },
    called('D25: another name is none', '/CN=x', 'DNS:mx.example.org', other),
    called(
      'D26: the common name counts where there is no DNS-ID',
      `/CN=${HOST}`,
      undefined,
      'match',
    ),
    called(
      'D26: the common name does not count beside a DNS-ID',
      `/CN=${HOST}`,
      'DNS:mx.example.org',
      other,
    ),
    called('D26: a wildcard is the whole left-most label', '/CN=x', 'DNS:*.example.com', 'match'),
    called('D26: a wildcard stands for one label', '/CN=x', 'DNS:*.com', other),
    {
      ...called('D26: a part of a label is no wildcard', '/CN=x', 'DNS:m*.example.com', other),
      opensslDiffers: 'it takes wildcards within a label unless told not to',
    },
  ]
}

/** Authorities of one name and one key, each of which could have issued each other: more paths than anybody could walk. */
export function makeMaze(): readonly Certified[] {
  const privateKey = newKey()
  const root = certify('/CN=maze', { extensions: AUTHORITY, privateKey })
  const many = Array.from({ length: 9 }, () =>
    certify('/CN=maze', { issuer: root, extensions: AUTHORITY, privateKey }),
  )
  return [server(root), ...many]
}
