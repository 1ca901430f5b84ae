// The addresses of a host name, of both families.
import { HishoError } from '../errors.ts'
import type { Answer } from './records.ts'
import type { Resolver } from './resolver.ts'

/** None: no such host, or a host without addresses. Throws what the resolver throws, if neither family is known. */
export async function resolveAddresses(
  resolver: Pick<Resolver, 'resolve'>,
  host: string,
  signal?: AbortSignal,
): Promise<readonly string[]> {
  const [four, six] = await Promise.allSettled([
    resolver.resolve(host, 'A', signal),
    resolver.resolve(host, 'AAAA', signal),
  ])
  if (four.status === 'rejected' && six.status === 'rejected') throw four.reason
  const addresses = [recordsOf(four), recordsOf(six)].flat()
  const failed = [four, six].find((one) => one.status === 'rejected')
  if (addresses.length === 0 && failed) throw failed.reason
  return addresses
}

function recordsOf(settled: PromiseSettledResult<Answer<'A'> | Answer<'AAAA'>>): readonly string[] {
  if (settled.status === 'fulfilled')
    return settled.value.status === 'found' ? settled.value.records : []
  if (settled.reason instanceof HishoError) return []
  throw settled.reason
}
