// Counts in Redis, of all machines together: hashes of counters. What must happen as a whole is a script; the keys of a day
// share a slot of a Cluster.
import type { RedisScripts } from '../cache/redis-scripts.ts'
import type { Clock } from '../clock.ts'
import { packFailure, unpackCount, type Count } from './count.ts'
import { DAY_MS, dayOf, type Day } from './day.ts'
import { partOf, type Batch, type DayStore, type Progress, type ReportState } from './day-store.ts'

export interface RedisStoreOptions {
  readonly redis: RedisScripts
  readonly clock: Clock
  /** For how many days counts stay. */
  readonly keepDays: number
  readonly log: (level: 'warn', message: string) => void
  /** In one of the 64 hashes of a day; beyond it without details, beyond twice of it not at all. Default 16384. */
  readonly maxFields?: number
}

const SHARDS = 64
const MAX_FIELDS = 16_384
const PAGE_FIELDS = '500'
/** So long it is known that a batch has come: there are several a second, of each process. */
const BATCH_SECONDS = '21600'
const STATUSES = ['claimed', 'sent', 'failed', 'lost'] as const

/** The same batch once, also when it comes again after the day was closed; no other one then. */
const ADD = `
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
if redis.call('HGET', KEYS[1], 'closed') then return 'closed' end
redis.call('SET', KEYS[2], '1', 'EX', ARGV[3])
local max, lost = tonumber(ARGV[2]), 0
for i = 4, #ARGV, 4 do
  local key, field, bare, times = KEYS[tonumber(ARGV[i])], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local size = redis.call('HLEN', key)
  if size >= max and bare ~= '' and redis.call('HEXISTS', key, field) == 0 then field = bare end
  if size >= 2 * max and redis.call('HEXISTS', key, field) == 0 then lost = lost + times
  else redis.call('HINCRBY', key, field, times) end
end
for i = 3, #KEYS do redis.call('EXPIRE', KEYS[i], ARGV[1]) end
redis.call('HSET', KEYS[1], 'counts', '1')
redis.call('EXPIRE', KEYS[1], ARGV[1])
return lost`
const GET = `return redis.call('HGET', KEYS[1], ARGV[1])`
const SET = `redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) return redis.call('EXPIRE', KEYS[1], ARGV[3])`
const PAGE = `return redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])`
const CLAIM = `
local won = {}
for i = 4, #ARGV, 2 do
  local name, attempt = ARGV[i], tonumber(ARGV[i + 1])
  local held = redis.call('HGET', KEYS[1], name)
  local free, ours = attempt == 1, false
  if held then
    local at, status, owner = string.match(held, '^(%d+) (%a+) (%S+)')
    free = status == 'failed' and attempt == tonumber(at) + 1
    ours = status == 'claimed' and owner == ARGV[2] and attempt == tonumber(at)
  end
  if free then redis.call('HSET', KEYS[1], name, attempt .. ' claimed ' .. ARGV[2] .. ' ' .. ARGV[3]) end
  if free or ours then won[#won + 1] = name end
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return won`
const SETTLE = `
local held = redis.call('HGET', KEYS[1], ARGV[1])
if held and string.match(held, '^%d+') == ARGV[2] then redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
return 0`

export function createRedisStore(options: RedisStoreOptions): DayStore {
  const { redis, clock, keepDays, log, maxFields = MAX_FIELDS } = options
  const ttl = String((keepDays + 2) * 86_400)
  const keyOf = (day: Day, name: string): string => `{tlsrpt/${day}}/${name}`

  /** Field and value of each pair of a hash; some may come twice. */
  async function* fieldsOf(key: string): AsyncGenerator<readonly [string, string]> {
    let cursor = '0'
    do {
      const reply = await redis.run(PAGE, [key], [cursor, PAGE_FIELDS])
      const [next, pairs] = Array.isArray(reply) ? (reply as unknown[]) : []
      cursor = typeof next === 'string' ? next : '0'
      const texts = Array.isArray(pairs) ? pairs.map(String) : []
      for (let at = 0; at + 1 < texts.length; at += 2) yield [texts[at] ?? '', texts[at + 1] ?? '']
    } while (cursor !== '0')
  }

  return {
    async add(day, batch) {
      const { keys, values } = entriesOf(batch, (shard) => keyOf(day, shard))
      const fixed = [keyOf(day, 'meta'), keyOf(day, `batch/${batch.id}`)]
      const added = await redis.run(
        ADD,
        [...fixed, ...keys],
        [ttl, String(maxFields), BATCH_SECONDS, ...values],
      )
      if (added === 'closed') return 'closed'
      if (Number(added) > 0)
        log(
          'warn',
          `TLSRPT: Redis has no room for more on ${day}: ${String(added)} counts are lost`,
        )
      return 'kept'
    },
    async days() {
      // Tomorrow too: a clock may have been set back.
      const all = Array.from({ length: keepDays + 2 }, (_, back) =>
        dayOf(clock.nowMs() + (1 - back) * DAY_MS),
      ).toReversed()
      const found = await Promise.all(
        all.map(async (day) => (await redis.run(GET, [keyOf(day, 'meta')], ['counts'])) !== null),
      )
      return all.filter((_, at) => found[at])
    },
    async closeDay(day) {
      await redis.run(SET, [keyOf(day, 'meta')], ['closed', '1', ttl])
    },
    parts: async () => SHARDS,
    async *read(day, { part, kind }) {
      const seen = new Set<string>()
      for await (const [field, times] of fieldsOf(keyOf(day, shardName(kind === 'hosts', part)))) {
        const count = seen.has(field) ? undefined : countOf(field, Number(times))
        seen.add(field)
        if (count) yield count
      }
    },
    async claim(day, owner, claims, nowMs) {
      const pairs = claims.flatMap(({ name, attempt }) => [name, String(attempt)])
      const won = await redis.run(
        CLAIM,
        [keyOf(day, 'ledger')],
        [ttl, owner, String(nowMs), ...pairs],
      )
      return Array.isArray(won) ? won.map(String) : []
    },
    async settle(day, name, { attempt, status, owner, atMs }) {
      const text = `${attempt} ${status} ${owner} ${atMs}`
      await redis.run(SETTLE, [keyOf(day, 'ledger')], [name, String(attempt), text])
    },
    async states(day) {
      const found = new Map<string, ReportState>()
      for await (const [name, text] of fieldsOf(keyOf(day, 'ledger'))) {
        const [attempt, said, owner = '', atMs] = text.split(' ')
        const status = STATUSES.find((one) => one === said)
        if (status) found.set(name, { attempt: Number(attempt), status, owner, atMs: Number(atMs) })
      }
      return found
    },
    async progress(day) {
      const said = await redis.run(GET, [keyOf(day, 'meta')], ['progress'])
      return said === 'walked' || said === 'done' ? said : 'open'
    },
    async setProgress(day, progress: Progress) {
      await redis.run(SET, [keyOf(day, 'meta')], ['progress', progress, ttl])
    },
    prune: async () => {}, // Redis forgets by itself
    close: () => redis.close(),
  }
}

function shardName(isOfHost: boolean, shard: number): string {
  return `${isOfHost ? 'h' : 'd'}/${shard}`
}

/** For each counter the place of its hash among the keys, its field, the field without details, and how often. */
function entriesOf(
  { counts }: Batch,
  keyOfShard: (shard: string) => string,
): { readonly keys: readonly string[]; readonly values: readonly string[] } {
  const keys: string[] = []
  const places = new Map<string, number>()
  const values: string[] = []
  for (const { name, via, policy, successfulSessions, failures } of counts) {
    const shard = shardName(via !== undefined, partOf(name, SHARDS))
    const place = places.get(shard) ?? keys.push(keyOfShard(shard)) + 2
    places.set(shard, place)
    const { policyType, policyDomain, policyStrings, mxHosts } = policy
    const head = [name, via ?? 0, [policyType, policyDomain, policyStrings, mxHosts]]
    const put = (field: string, bare: string, times: number): number =>
      values.push(String(place), field, bare, String(times))
    if (successfulSessions > 0) put(JSON.stringify(head), '', successfulSessions)
    for (const failure of failures) {
      const { resultType, failedSessions } = failure
      const field = JSON.stringify([...head, packFailure({ ...failure, failedSessions: 1 })])
      const bare = JSON.stringify([...head, packFailure({ resultType, failedSessions: 1 })])
      put(field, bare, failedSessions)
    }
  }
  return { keys, values }
}

/** undefined: nothing of ours. */
function countOf(field: string, times: number): Count | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(field)
  } catch {
    return undefined
  }
  if (!Array.isArray(parsed)) return undefined
  const [name, via, policy, failure] = parsed as unknown[]
  if (!Array.isArray(failure)) return unpackCount([name, via, policy, times, []])
  const [, ...details] = failure as unknown[]
  return unpackCount([name, via, policy, 0, [[times, ...details]]])
}
