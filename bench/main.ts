// npm run bench [-- container|ibe|signature|schemes|filters|memory|delivery|tlsrpt|haraka]: the figures of docs/benchmarks.md, side by side with the bare thing in one run.
import { benchContainer } from './container.ts'
import { benchTransport } from './delivery.ts'
import { benchFilters } from './filters.ts'
import { benchHaraka } from './haraka.ts'
import { benchIbe } from './ibe.ts'
import { benchMemory } from './memory.ts'
import { benchSignature } from './signature.ts'
import { benchSchemes } from './schemes.ts'
import { formatReport, isReached, type Row } from './report.ts'
import { benchTlsrpt } from './tlsrpt.ts'

const BENCHES: Record<string, () => Promise<readonly Row[]>> = {
  container: benchContainer,
  ibe: ibeRows,
  signature: benchSignature,
  schemes: benchSchemes,
  filters: benchFilters,
  memory: async () => benchMemory(),
  delivery: benchTransport,
  tlsrpt: benchTlsrpt,
  haraka: benchHaraka,
}

async function ibeRows(): Promise<Row[]> {
  const rows = await benchIbe()
  return rows.map(({ target, ...row }) =>
    target === undefined ? row : { ...row, target: { most: target } },
  )
}

async function main(): Promise<void> {
  const wanted = process.argv.slice(2)
  const rows: Row[] = []
  for (const [name, bench] of Object.entries(BENCHES)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue
    console.error(`bench: ${name} ...`)
    rows.push(...(await bench()))
  }
  console.log(formatReport(rows))
  const missed = rows.filter((row) => isReached(row) === false)
  if (missed.length > 0) console.error(`not reached: ${missed.map((row) => row.name).join('; ')}`)
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
