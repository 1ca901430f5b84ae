// Four sites of others, four schemes: one table, one letter to each, and what each of them sees.
import { generateMailKey } from '../lib/smime/ca/mail-key.ts'
import { createAuthority, issueCertificate } from '../lib/smime/ca/authority.ts'
import { SecretBytes } from '../lib/crypto/secret-bytes.ts'
import { writeArmor } from '../lib/openpgp/armor.ts'
import type { MailKeyEntry } from '../lib/vault/mail-keys.ts'
import { formatPem } from '../lib/x509/pem.ts'
import { newKey, ownKey, startPool } from '../test/openpgp/world.ts'
import { freePort } from '../test/support/haraka.ts'
import { startManInTheMiddle } from '../test/support/man-in-the-middle.ts'
import { ALL_PLUGINS, hishoIni } from '../test/support/site.ts'
import { startWorld } from '../test/support/world.ts'

const SITES = ['b.example', 'shared.example', 'pgp.example', 'smime.example'] as const

export const TABLE = [
  '  b.example: { encrypt: required, scheme: ibe }',
  '  shared.example: { encrypt: required, scheme: shared-key }',
  '  pgp.example: { encrypt: required, scheme: openpgp }',
  '  smime.example: { encrypt: required, scheme: smime, smime: modern }',
].join('\n')

export interface Seen {
  readonly site: string
  /** The form in which it travelled: its Content-Type. */
  readonly form: string
  /** The field that the receiving gateway has written on top. */
  readonly mark: string
  readonly isExact: boolean
  readonly leaked: boolean
}

/** Sends the message to somebody at each site, and says what was on the wire and what arrived. */
export async function writeToFourSites(
  messageTo: (address: string) => string,
  secret: RegExp,
): Promise<Seen[]> {
  const keys = await makeKeys()
  const ports = { a: await freePort(), b: await freePort() }
  const wire = await startManInTheMiddle({ server: { address: '127.0.0.1', port: ports.b } })
  const trusting = '[smime]\nanchors_file=anchors.pem\nrevocation=off\n'
  const world = await startWorld({
    ports,
    pluginsA: ALL_PLUGINS,
    pluginsB: ALL_PLUGINS,
    routesA: Object.fromEntries(SITES.map((site) => [site, wire.port])),
    tableA: TABLE,
    sharedA: { 'shared.example': [keys.shared] },
    sharedB: { 'a.example': [keys.shared] },
    mailA: { 'a.example': { openpgp: [keys.pgpOfA.entry], smime: [keys.smimeOfA.entry] } },
    mailB: {
      'pgp.example': { openpgp: [keys.pgp.entry] },
      'smime.example': { smime: [keys.smime.entry] },
    },
    filesA: (dnsPort) => ({
      'config/hisho.ini': hishoIni(dnsPort, trusting),
      'config/anchors.pem': keys.anchors,
      'config/hisho.keys/openpgp/pgp.example.asc': keys.pgp.published,
      'config/hisho.keys/smime/smime.example.pem': keys.smime.published,
    }),
    filesB: (dnsPort) => ({
      'config/hisho.ini': hishoIni(dnsPort, trusting),
      'config/hisho.yaml': `local: [${SITES.join(', ')}]\n`,
      'config/host_list': `${SITES.join('\n')}\n`,
      'config/anchors.pem': keys.anchors,
      'config/hisho.keys/openpgp/a.example.asc': keys.pgpOfA.published,
      'config/hisho.keys/smime/a.example.pem': keys.smimeOfA.published,
    }),
  })
  try {
    const seen: Seen[] = []
    for (const site of SITES) {
      const to = `bob@${site}`
      const message = messageTo(to)
      await world.send(message, [to])
      const [delivery] = await world.inboxB.waitFor(1)
      world.inboxB.clear()
      seen.push(whatWasSeen(site, message, delivery?.message.toString() ?? '', wire.wire(), secret))
      wire.forget()
    }
    return seen
  } finally {
    await world.close()
    await wire.close()
  }
}

function whatWasSeen(
  site: string,
  message: string,
  arrived: string,
  heard: string,
  secret: RegExp,
): Seen {
  const data = heard.slice(heard.indexOf('354 '))
  const type = /^Content-Type: ([^\r]*(?:\r\n[ \t][^\r]*)*)/im.exec(data)?.[1] ?? 'none'
  return {
    site,
    form: type.replaceAll(/\s+/g, ' ').replace(/; (?:boundary|name)=.*$/, ''),
    mark: /^Hisho-Decrypted: ([^\r]*)/m.exec(arrived)?.[1] ?? 'NOT OPENED',
    isExact: arrived.endsWith(message),
    leaked: secret.test(heard),
  }
}

interface SiteKey {
  readonly entry: MailKeyEntry
  /** What others get. */
  readonly published: string
}

async function makeKeys() {
  const created = new Date().toISOString()
  const pool = startPool()
  const openpgp = async (domain: string): Promise<SiteKey> => {
    const key = await newKey(pool, `*@${domain}`)
    const published = Buffer.concat([...writeArmor('PUBLIC KEY BLOCK', key.certificate)])
    return {
      entry: { ...ownKey('*', key), certificates: [] },
      published: published.toString('latin1'),
    }
  }
  try {
    const domains = ['a.example', 'smime.example']
    const authority = createAuthority(await generateMailKey('p256'), {
      name: 'An authority that both sides trust',
      domains,
      days: 30,
      listUrl: undefined,
      nowMs: Date.now(),
    })
    const smime = async (domain: string): Promise<SiteKey> => {
      const key = await generateMailKey('p256')
      const { certificate, entry } = issueCertificate(authority, {
        domain,
        user: '*',
        publicKey: key.publicKey,
        algorithm: 'ec',
        days: 10,
        nowMs: Date.now(),
      })
      const certificates = [certificate, authority.certificate]
      return {
        entry: { id: entry.id, user: '*', secret: key.secret, certificates, created },
        published: formatPem('CERTIFICATE', certificate),
      }
    }
    return {
      shared: { id: 'demo', key: new SecretBytes(randomKey()), created },
      pgpOfA: await openpgp('a.example'),
      pgp: await openpgp('pgp.example'),
      smimeOfA: await smime('a.example'),
      smime: await smime('smime.example'),
      anchors: formatPem('CERTIFICATE', authority.certificate),
    }
  } finally {
    await pool.close()
  }
}

function randomKey(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(32))
}
