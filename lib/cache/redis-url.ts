// redis:// and rediss:// addresses, as IANA has them registered.
import { PermError } from '../errors.ts'

const REDIS_PORT = 6379

export interface RedisAddress {
  readonly host: string
  readonly port: number
  readonly tls: boolean
  readonly username: string | undefined
  readonly password: string | undefined
  readonly database: number
}

/** Reads `redis[s]://[[username][:password]@]host[:port][/database]`. A refusal names the field, never the value. */
export function parseRedisUrl(text: string, field = 'Redis URL'): RedisAddress {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || (url.protocol !== 'redis:' && url.protocol !== 'rediss:')) {
    throw malformed(
      field,
      'expected redis:// or rediss://, a host, and perhaps a port and database',
    )
  }
  if (url.hostname === '') throw malformed(field, 'no host')
  if (url.search !== '' || url.hash !== '')
    throw malformed(field, 'nothing may follow the database')
  const database = /^\/?(?<number>\d{0,6})$/.exec(url.pathname)?.groups?.['number']
  if (database === undefined) throw malformed(field, 'the database is not a number')
  return {
    host: decoded(url.hostname, field).replace(/^\[|\]$/g, ''),
    port: url.port === '' ? REDIS_PORT : Number(url.port),
    tls: url.protocol === 'rediss:',
    username: decoded(url.username, field) || undefined,
    password: decoded(url.password, field) || undefined,
    database: Number(database),
  }
}

function decoded(text: string, field: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw malformed(field, 'a percent sign that encodes nothing')
  }
}

function malformed(field: string, what: string): PermError {
  return new PermError('cache/malformed', `${field}: ${what}`)
}
