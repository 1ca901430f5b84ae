// npm run demo: two real Harakas on loopback, a.example and b.example, and an embedded DNS server. Alice writes to Bob;
// we listen in between, and take away the offer of TLS. No root, no Redis, no network.
import { stripVTControlCharacters } from 'node:util'
import { makeAuthority } from '../test/support/authority.ts'
import { startDnsServer } from '../test/support/dns-server.ts'
import { freePort, startHaraka } from '../test/support/haraka.ts'
import { startManInTheMiddle } from '../test/support/man-in-the-middle.ts'
import {
  ALL_PLUGINS,
  hishoIni,
  makeSite,
  PASSWORD,
  siteEnvironment,
  siteFiles,
  USER,
} from '../test/support/site.ts'
import { submit } from '../test/support/smtp-client.ts'
import { startSink } from '../test/support/smtp-sink.ts'
import { TABLE, writeToFourSites } from './four-sites.ts'
import { startPolicyHost } from './policy-host.ts'

const colour = process.stdout.isTTY && !process.env['NO_COLOR']
const paint = (code: number, text: string): string =>
  colour ? `\u001B[${code}m${text}\u001B[0m` : text
const say = (text = ''): void => console.log(text)
const heading = (text: string): void => say(`\n${paint(1, `== ${text}`)}`)
const show = (text: string, code: number): void => {
  for (const line of shorten(text.trimEnd().split('\r\n'))) say(`   ${paint(code, '|')} ${line}`)
}

/** Of a long run of base64 only the ends are worth reading. */
function shorten(lines: readonly string[]): string[] {
  const out: string[] = []
  let run: string[] = []
  const flush = (): void => {
    out.push(
      ...(run.length > 5
        ? [...run.slice(0, 2), `  ... ${run.length - 4} more lines ...`, ...run.slice(-2)]
        : run),
    )
    run = []
  }
  for (const line of lines) {
    if (/^[A-Za-z0-9+/=]{20,}$/.test(line)) run.push(line)
    else {
      flush()
      out.push(line.length > 150 ? `${line.slice(0, 150)}...` : line)
    }
  }
  flush()
  return out
}

/** What `hisho mta-sts show` prints for d.example. */
const POLICY = 'version: STSv1\r\nmode: enforce\r\nmx: mx.d.example\r\nmax_age: 86400\r\n'

const MESSAGE = [
  'From: Alice <alice@a.example>',
  'To: Bob <bob@b.example>',
  'Subject: the merger',
  'Date: Sun, 22 Nov 2026 09:00:00 +0000',
  'Message-ID: <demo-1@a.example>',
  '',
  'Hello Bob,',
  '',
  'we sign on Friday. Tell nobody.',
  '',
  'Alice',
  '',
].join('\r\n')

async function main(): Promise<void> {
  say('hisho: mail between two domains, encrypted, signed and decrypted by their mail servers')
  const [keysA, keysB, keysEve] = await Promise.all(
    ['a.example', 'b.example', 'b.example'].map((domain) => makeSite(domain)),
  )
  if (!keysA || !keysB || !keysEve) return
  const authority = makeAuthority()
  const policyHost = await startPolicyHost(authority.issue('mta-sts.d.example'), POLICY)
  const dns = await startDnsServer({
    '_ibemailkey.a.example': { TXT: keysA.records },
    '_ibemailkey.b.example': { TXT: keysB.records, ttl: 1 },
    // The mail server of b.example is that of d.example too, which has no keys, but promises TLS.
    'd.example': { MX: ['10 mx.d.example'] },
    'mx.d.example': { A: ['127.0.0.1'] },
    '_mta-sts.d.example': { TXT: ['v=STSv1; id=1'] },
    'mta-sts.d.example': { A: ['127.0.0.1'] },
  })
  const [inboxA, inboxB] = await Promise.all([startSink(), startSink()])
  const [portA, portB] = await Promise.all([freePort(), freePort()])
  const wire = await startManInTheMiddle({ server: { address: '127.0.0.1', port: portB } })
  wire.stripsTls = true
  const heardSince = (): string => {
    const heard = wire.wire()
    wire.forget()
    return heard
  }
  const certificateB = authority.issue('mx.d.example')
  const [a, b] = await Promise.all([
    startHaraka({
      port: portA,
      environment: siteEnvironment(keysA),
      files: siteFiles({
        domain: 'a.example',
        keys: keysA,
        dnsPort: dns.port,
        mailbox: inboxA.port,
        routes: { 'b.example': wire.port },
        table: "  c.example: { encrypt: required }\n  '*': { encrypt: opportunistic }",
        plugins: [...ALL_PLUGINS, 'hisho/mta_sts'],
        files: {
          'config/hisho.ini': hishoIni(dns.port, `[delivery]\nport=${wire.port}\nca_file=ca.pem\n`),
          'config/hisho.mta_sts.ini': `[policy_host]\nport=${policyHost.port}\nca_file=ca.pem\nallow_private=true\n`,
          'config/ca.pem': authority.certificate,
          'config/outbound.ini': 'local_mx_ok=true\ntemp_fail_intervals=5s,5s,5s,5s\n',
        },
      }),
    }),
    startHaraka({
      port: portB,
      environment: siteEnvironment(keysB),
      files: siteFiles({
        domain: 'b.example',
        keys: keysB,
        dnsPort: dns.port,
        mailbox: inboxB.port,
        routes: {},
        table: '  a.example: { missing_signature: mark }',
        plugins: ['tls', ...ALL_PLUGINS],
        files: {
          'config/host_list': 'b.example\nd.example\n',
          'config/tls_key.pem': certificateB.privateKey,
          'config/tls_cert.pem': certificateB.certificate,
        },
      }),
    }),
  ])
  const send = (to: string) =>
    submit({
      port: portA,
      from: 'alice@a.example',
      to: [to],
      message: Buffer.from(MESSAGE),
      user: USER,
      password: PASSWORD,
    })
  try {
    heading('In DNS, _ibemailkey.b.example TXT: all that anybody needs to write to b.example')
    show(keysB.record, 36)

    heading('Alice submits to the Haraka of a.example')
    show(MESSAGE, 32)
    const reply = await send('bob@b.example')
    say(`   ${reply.text}`)

    const [delivery] = await inboxB.waitFor(1)
    heading('On the wire between the two Harakas, where somebody has taken away the offer of TLS')
    const heard = heardSince()
    show(heard.slice(Math.max(0, heard.indexOf('MAIL FROM'))), 31)

    heading("In Bob's mailbox")
    const arrived = delivery!.message.toString()
    show(arrived, 32)

    heading('The same ciphertext, sent again to Mallory at b.example')
    const data = /354[^\r]*\r\n([\s\S]*?)\r\n\.\r\n/.exec(heard)?.[1] ?? ''
    await submit({
      port: portB,
      from: 'eve@elsewhere.example',
      to: ['mallory@b.example'],
      message: Buffer.from(`${data}\r\n`, 'latin1'),
    })
    const again = (await inboxB.waitFor(2))[1]!.message.toString()
    say(
      `   delivered as it came: Mallory ${again.includes('Friday') ? 'CAN READ IT' : 'sees only ciphertext'}`,
    )

    heading('Alice writes to c.example, which must have encryption and publishes no key')
    const refused = await send('carol@c.example')
    say(`   ${refused.text}`)

    heading('Eve writes to Bob in the name of Alice, without a signature')
    await submit({
      port: portB,
      from: 'eve@elsewhere.example',
      to: ['bob@b.example'],
      message: Buffer.from(MESSAGE),
    })
    const forged = (await inboxB.waitFor(3))[2]!.message.toString()
    const mark = /^Hisho-Signature: [^\r]*/m.exec(forged)?.[0] ?? 'NOT MARKED'
    say(`   b.example knows that a.example signs, and marks it for filters: ${mark}`)

    heading('Eve forges the answer of DNS: keys of hers for b.example. Alice writes again')
    dns.zone['_ibemailkey.b.example'] = { TXT: keysEve.records, ttl: 1 }
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    wire.forget()
    await send('bob@b.example')
    const afterForgery = (await inboxB.waitFor(4))[3]!.message.toString()
    const afterForgeryWire = heardSince()
    const believed = !afterForgery.endsWith(MESSAGE)
    say(
      `   ${believed ? 'ENCRYPTED FOR EVE' : 'encrypted for Bob all the same: what was seen first is remembered, and a change has to prove itself'}`,
    )

    heading(
      'Alice writes to Dora at d.example, which has no keys but promises TLS (MTA-STS, enforce)',
    )
    wire.forget()
    a.forgetLog()
    await send('dora@d.example')
    await a.waitForLog(/delivery to d\.example at [^\n]*/)
    await a.waitForLog(/Temp failing/)
    const reason = /delivery to d\.example at [^\r\n]*/.exec(a.log())?.[0] ?? ''
    const whileStripped = heardSince()
    show(whileStripped.slice(whileStripped.lastIndexOf('220 ')), 31)
    say(`   ${stripVTControlCharacters(reason)}`)
    const waits = a.queued().length === 1 && !whileStripped.includes('MAIL FROM')
    say(`   ${waits ? 'the mail waits in the queue of a.example' : 'IT DOES NOT WAIT'}`)

    heading('The man in the middle goes away')
    wire.stripsTls = false
    const delivered = (await inboxB.waitFor(5, 30_000))[4]!.message.toString()
    const overTls = heardSince()
    const arrivedOverTls =
      /ESMTPS[^]*we sign on Friday/.test(delivered) && !/merger|Friday/.test(overTls)
    say(
      `   ${arrivedOverTls ? 'delivered over TLS, to a server that showed a certificate for mx.d.example' : 'NOT AS PROMISED'}`,
    )

    heading('The table of a.example: four sites of others, four schemes')
    show(TABLE.replaceAll(/^ {2}/gm, '').replaceAll('\n', '\r\n'), 36)
    const letterTo = (address: string): string =>
      MESSAGE.replace('bob@b.example', address).replace('demo-1@', `to-${address.split('@')[1]}@`)
    const four = await writeToFourSites(letterTo, /merger|Friday/)
    for (const { site, form, mark, isExact } of four) {
      say(`\n   to ${site}, on the wire: ${form}`)
      say(`   ${isExact ? 'arrived as it was' : 'NOT AS IT WAS'}, and above it: ${paint(32, mark)}`)
    }

    const checks: [string, boolean][] = [
      ['the message arrived byte for byte', arrived.endsWith(MESSAGE)],
      ['neither subject nor text was on the wire', !/merger|Friday/.test(heard)],
      ['it was signed by alice@a.example, and Bob is told', /x-ibe-sig=pass/.test(arrived)],
      ['Mallory cannot read it', !again.includes('Friday')],
      ['what cannot be protected was refused', refused.code === 550],
      ['a forged sender was seen', mark === 'Hisho-Signature: none'],
      ['a forged key was not believed', !believed && !/merger|Friday/.test(afterForgeryWire)],
      ['without the promised TLS mail waited, and went with it', waits && arrivedOverTls],
      ['each of four sites got it under its own scheme', four.every(({ isExact }) => isExact)],
      ['and nothing of it was on the wire', four.every(({ leaked }) => !leaked)],
    ]
    heading('So')
    for (const [claim, holds] of checks)
      say(`   ${holds ? paint(32, 'yes') : paint(31, 'NO ')}  ${claim}`)
    if (checks.some(([, holds]) => !holds)) process.exitCode = 1
  } finally {
    await Promise.all([a.stop(), b.stop()])
    policyHost.close()
    await Promise.all([wire.close(), inboxA.close(), inboxB.close(), dns.close()])
  }
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
