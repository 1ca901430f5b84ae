// The metrics of gateways with mail: those of all workers, whichever is asked, and nothing of the mail in them.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { freePort } from '../support/haraka.ts'
import { letter, startWorld, type World } from '../support/world.ts'

const MAILS = 6
const plugins = [
  'auth/flat_file',
  'rcpt_to.in_host_list',
  'hisho/decrypt',
  'hisho/encrypt',
  'hisho/metrics',
  'queue/smtp_forward',
]

describe('metrics', () => {
  let world: World
  let httpA: number
  let httpB: number
  before(async () => {
    ;[httpA, httpB] = [await freePort(), await freePort()]
    world = await startWorld({
      pluginsA: plugins,
      pluginsB: plugins,
      filesA: { 'config/http.ini': `listen=127.0.0.1:${httpA}\n`, 'config/smtp.ini': 'nodes=2\n' },
      filesB: { 'config/http.ini': `listen=127.0.0.1:${httpB}\n`, 'config/smtp.ini': 'nodes=0\n' },
    })
    for (let at = 0; at < MAILS; at++) assert.equal((await world.send(letter(`m${at}`))).code, 250)
    await world.inboxB.waitFor(MAILS)
  })
  after(() => world?.close())

  /** A connection of its own, so that any worker may get it. */
  const metrics = async (port: number): Promise<string> => {
    const answer = await fetch(`http://127.0.0.1:${port}/metrics`, {
      headers: { Connection: 'close' },
    })
    assert.equal(answer.status, 200)
    return answer.text()
  }

  it('whichever worker is asked, the answer is the sum of all', async () => {
    for (let at = 0; at < 6; at++) {
      const text = await metrics(httpA)
      assert.match(
        text,
        new RegExp(`^hisho_seal_total\\{scheme="ibe",result="ok"\\} ${MAILS}$`, 'm'),
      )
      assert.match(text, /^hisho_worker_threads\{pool="ibe"\} 2$/m) // one in each
      assert.match(text, /^hisho_store_up\{backend="files"\} 1$/m) // and not two
      assert.match(text, /^hisho_cache_requests_total\{cache="store",result="\w+"\} \d+$/m)
      const misses = Number(/^hisho_kek_cache_misses\{side="sender"\} (\d)$/m.exec(text)?.[1])
      const hits = Number(/^hisho_kek_cache_hits\{side="sender"\} (\d)$/m.exec(text)?.[1])
      assert.ok(misses >= 1 && misses <= 2 && misses + hits === MAILS, text)
    }
  })

  it('a Haraka of one process answers too', async () => {
    const text = await metrics(httpB)
    assert.match(text, new RegExp(`^hisho_open_total\\{scheme="ibe",result="ok"\\} ${MAILS}$`, 'm'))
    assert.match(text, /^hisho_held_mail 0$/m)
  })

  it('C30: name no user, no domain and no key', async () => {
    for (const text of [await metrics(httpA), await metrics(httpB)])
      assert.doesNotMatch(text, /alice|bob|\.example|AGE-SECRET|[A-Za-z0-9+/]{43}/)
  })
})
