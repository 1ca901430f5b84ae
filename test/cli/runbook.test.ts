// docs/operations.md, word by word: its commands for a rotation and for accidents, from a clean directory, by an operator
// who does what they print and nothing else.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { clockEnvironment } from '../support/clock-environment.ts'
import { ROOT } from '../support/haraka.ts'
import { openSite, type Site } from './site.ts'

const PAGE = readFileSync(join(ROOT, 'docs', 'operations.md'), 'utf8')
const DAY_MS = 86_400_000
const NAME = '_ibemailkey.a.example'

/** The commands of a section in their order, as words behind `npx hisho`. */
function commands(section: string): string[][] {
  const [, text = ''] = PAGE.split(`\n## ${section}\n`)
  const own = text.split('\n## ', 1)[0] ?? ''
  return [...own.matchAll(/^ +npx hisho (.+)$/gm)].map(([, words]) => words!.split(' '))
}

describe('the runbook', () => {
  let site: Site
  before(async () => {
    site = await openSite()
    await run(['init', '--domain', 'a.example'])
  })
  after(() => site.close())

  const zone = (): string[] => (site.dns.zone[NAME]?.TXT ?? []) as string[]
  const bare = (record: string): string => record.replace(/; s=.*$/, '')

  /** Publishes and removes what the output tells to, as the words above the lines say. */
  function obey(output: string): void {
    let removing = false
    for (const line of output.split('\n')) {
      if (/^(?:Remove|and remove)/.test(line)) removing = true
      else if (/^(?:Publish|In one change|.* publish:)/.test(line)) removing = false
      const quoted = /IN TXT (".*")$/.exec(line)?.[1]
      if (quoted === undefined) continue
      const record = [...quoted.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, text]) => text).join('')
      const others = zone().filter((known) => bare(known) !== bare(record))
      site.dns.zone[NAME] = { TXT: removing ? others : [...others, record], ttl: 3600 }
    }
  }

  async function run(words: readonly string[], days = 0): Promise<string> {
    const { code, text, stderr } = await site.run(words, {
      cwd: site.path,
      env: clockEnvironment(days * DAY_MS),
    })
    assert.equal(code, 0, `hisho ${words.join(' ')}: ${stderr}`)
    obey(text)
    return text
  }
  const serials = (): string[] =>
    zone()
      .map((record) => /a=(\w+);.* n=(\d+);/.exec(record)!.slice(1).join(' '))
      .toSorted()
  const status = async (days: number): Promise<string> =>
    (await site.run(['doctor'], { env: clockEnvironment(days * DAY_MS) })).text

  it('leads through a rotation', async () => {
    const [rotate, retire, ...more] = commands('Rotation')
    assert.ok(rotate && retire)
    assert.deepEqual(more, [])
    assert.deepEqual(serials(), ['bf 1', 'cc 1'])
    await run(rotate) // makes the next generation
    assert.deepEqual(serials(), ['bf 1', 'bf 2', 'cc 1', 'cc 2'])
    assert.match(await run(rotate), /Leave both there[^]*Leave both there/) // sees it in DNS
    assert.match(await status(0), /ok +rotation of a\.example/)

    await run(rotate, 2) // encryption: every sender has moved; signatures: mail may be under way
    assert.deepEqual(serials(), ['bf 2', 'cc 1', 'cc 2'])
    assert.match(await run(rotate, 2), /bf n=1 opens what is under way; retire it after/)
    await run(rotate, 6)
    assert.deepEqual(serials(), ['bf 2', 'cc 2'])

    assert.match(await run(rotate, 9), /bf n=1 can be retired[^]*cc n=1 can be retired/)
    // At a terminal it asks.
    assert.match(await run([...retire, '--yes'], 9), /bf n=1, cc n=1 of a\.example: retired/)
    assert.deepEqual(serials(), ['bf 2', 'cc 2'])
    const healthy = await status(9)
    assert.match(healthy, /ok +record of a\.example +n=2 as in the vault/)
    assert.doesNotMatch(healthy, /rotation of/)
  })

  it('leads through accidents, and the letters are there', async () => {
    const [master, identity, password, ...more] = commands('When something leaked')
    assert.ok(master && identity && password)
    assert.deepEqual(more, [])
    await run(master, 20)
    assert.deepEqual(serials(), ['bf 3', 'cc 3'])
    assert.ok(!zone().some((record) => record.includes('s=')), 'what leaked vouches for nothing')
    await run(identity, 20)
    await run(password, 20)
    assert.deepEqual(serials(), ['bf 3', 'cc 3'])
    assert.deepEqual(readdirSync(site.file('hisho-notices')).toSorted(), [
      'a.example-correspondents.txt',
      'a.example-users.txt',
      'alice@a.example.txt',
    ])
    assert.match(await status(20), /ok +record of a\.example +n=3 as in the vault/)
  })
})
