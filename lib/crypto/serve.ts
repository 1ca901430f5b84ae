// The worker's side of a pool: answers jobs from the thread that started it.
import { parentPort } from 'node:worker_threads'
import { pack, packError } from './job-messages.ts'
import type { JobRequest, JobTable, WorkerMessage } from './job-messages.ts'

/**
 * Serves these jobs until the pool ends the thread. Byte arrays that a handler returns are wiped when they are sent. What is thrown goes back as the job's failure; handlers that do
 * not come (a library that does not load) end the worker, which the pool sees as one that cannot start.
 */
export async function serve<Jobs extends JobTable<Jobs>>(
  handlers: Jobs | Promise<Jobs>,
): Promise<void> {
  const port = parentPort
  if (port === null) throw new Error('serve is for worker threads')
  const table = new Map(Object.entries(await handlers) as [string, (args: unknown) => unknown][])
  const answer = async ({ id, job, args }: JobRequest): Promise<void> => {
    try {
      const handler = table.get(job)
      if (handler === undefined) throw new Error(`no job named ${job}`)
      const { value, transfer } = pack(await handler(args), 'wipe')
      port.postMessage({ kind: 'done', id, value } satisfies WorkerMessage, transfer)
    } catch (error) {
      port.postMessage({ kind: 'failed', id, failure: packError(error) } satisfies WorkerMessage)
    }
  }
  port.on('message', (request: JobRequest) => void answer(request))
  port.postMessage({ kind: 'ready' } satisfies WorkerMessage)
}
