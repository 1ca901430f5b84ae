// npm run fuzz [-- --inputs N] [--seed N] [words of a target's name]: what others send us, a million times almost right. It
// fails on what is thrown and is not ours, on time that grows faster than the input, and on what is not read as it was
// written.
import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { byteTargets } from './byte-targets.ts'
import { certificateTargets } from './certificate-targets.ts'
import { createRandom, mutate, pump } from './mutation.ts'
import { superLinear } from './pace.ts'
import type { Target } from './target.ts'
import { OPENPGP_TARGETS } from './openpgp-targets.ts'
import { REPORT_TARGETS } from './report-targets.ts'
import { smimeTargets } from './smime-targets.ts'
import { textTargets } from './text-targets.ts'

const DEFAULT_INPUTS = 1_000_000
/** So many inputs for one that is blown up and timed. */
const INPUTS_FOR_A_PUMP = 500
const SLOW_MS = 1000

interface Failure {
  readonly target: string
  readonly what: string
  readonly input: Uint8Array
}

async function fuzz(target: Target, inputs: number, seed: number): Promise<readonly Failure[]> {
  const random = createRandom(seed)
  const { name, seeds, words } = target
  const failures = new Map<string, Failure>()
  let taken = 0
  const start = performance.now()
  const tryOne = async (input: Uint8Array): Promise<void> => {
    const begin = performance.now()
    try {
      if ((await target.run(input)) === 'taken') taken += 1
    } catch (error) {
      const what = error instanceof Error ? (error.stack ?? error.message) : String(error)
      const key = what.split('\n').slice(0, 3).join('\n') // each fault once
      if (!failures.has(key)) failures.set(key, { target: name, what, input })
    }
    if (performance.now() - begin > SLOW_MS)
      failures.set('slow', { target: name, what: `took more than ${SLOW_MS} ms`, input })
  }
  for (const input of seeds) await tryOne(input)
  if (taken === 0)
    failures.set('seeds', { target: name, what: 'takes no seed', input: new Uint8Array(0) })
  for (let at = seeds.length; at < inputs; at += 1) await tryOne(mutate(seeds, words, random))
  const seconds = (performance.now() - start) / 1000
  for (let at = 0; at < inputs && failures.size === 0; at += INPUTS_FOR_A_PUMP) {
    const ofSize = pump(seeds, words, random)
    const times = await superLinear(target, ofSize)
    const what = `super-linear: ${times?.map((ms) => ms.toFixed(1)).join(', ')} ms for doubled sizes`
    if (times) failures.set('pace', { target: name, what, input: ofSize(256) })
  }
  const share = ((100 * taken) / Math.max(1, inputs)).toFixed(1).padStart(5)
  console.log(
    `${name.padEnd(22)}${String(inputs).padStart(9)} inputs ${share} % taken ${seconds.toFixed(1).padStart(6)} s`,
  )
  return [...failures.values()]
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { inputs: { type: 'string' }, seed: { type: 'string' } },
    allowPositionals: true,
  })
  const inputs = Number(values.inputs ?? DEFAULT_INPUTS)
  const seed = Number(values.seed ?? Date.now() % 1_000_000)
  if (!Number.isSafeInteger(inputs) || inputs < 1 || !Number.isSafeInteger(seed))
    throw new TypeError('--inputs and --seed take whole numbers')
  const targets = [
    ...textTargets(),
    ...REPORT_TARGETS,
    ...(await byteTargets()),
    ...OPENPGP_TARGETS,
    ...smimeTargets(),
    ...(await certificateTargets()),
  ].filter(
    ({ name }) => positionals.length === 0 || positionals.some((word) => name.includes(word)),
  )
  if (targets.length === 0) throw new TypeError('no target has such a name')
  console.log(`fuzz: --inputs ${inputs} --seed ${seed}`)
  const failures: Failure[] = []
  for (const target of targets)
    failures.push(...(await fuzz(target, Math.ceil(inputs / targets.length), seed)))
  for (const { target, what, input } of failures)
    console.error(`\n${target}: ${what}\ninput in base64: ${Buffer.from(input).toString('base64')}`)
  if (failures.length > 0) process.exitCode = 1
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
