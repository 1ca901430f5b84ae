import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { PermError, TempError } from '../../lib/errors.ts'
import { CONT, DENY, DENYSOFT, OK, type Connection, type Plugin } from '../../lib/haraka/api.ts'
import {
  type Deadline,
  describe as describeError,
  GO_ON,
  hook,
  logTo,
  type Body,
} from '../../lib/haraka/hook.ts'

interface Run {
  readonly answers: readonly (readonly unknown[])[]
  readonly log: readonly string[]
}

interface Surroundings {
  readonly timeout?: number
  /** What comes after the answer, inside next(). */
  readonly next?: () => void
  readonly logger?: (line: string) => void
}

/** Runs a hook as Haraka does, until it has answered and everything else of this turn is done. */
async function run(
  body: Body<Connection>,
  { timeout = 30, next, logger }: Surroundings = {},
): Promise<Run> {
  const answers: unknown[][] = []
  const log: string[] = []
  const say = (level: string) => (line: unknown) => {
    logger?.(String(line))
    log.push(`${level} ${String(line)}`)
  }
  const plugin = {
    name: 'hisho/test',
    timeout,
    loginfo: say('info'),
    lognotice: say('notice'),
    logwarn: say('warn'),
    logerror: say('error'),
    logcrit: say('crit'),
  } as unknown as Plugin
  const rejections: unknown[] = []
  const onRejection = (reason: unknown): void => void rejections.push(reason)
  process.on('unhandledRejection', onRejection)
  try {
    await new Promise<void>((resolve) => {
      hook<Connection>(body).call(
        plugin,
        (...answer) => {
          answers.push(answer)
          resolve()
          next?.()
        },
        { transaction: null } as unknown as Connection,
      )
    })
    for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate)
  } finally {
    process.off('unhandledRejection', onRejection)
  }
  assert.deepEqual(rejections, [])
  return { answers, log }
}

const LATER = [[DENYSOFT, '4.3.0 try again later']]
const never = new Promise<never>(() => {})

describe('a hook of ours', () => {
  it('goes on when its body says so', async () => {
    assert.deepEqual(await run(async () => GO_ON), { answers: [[CONT, undefined]], log: [] })
  })

  it('answers what its body says', async () => {
    const { answers } = await run(async () => ({ code: OK, message: 'queued' }))
    assert.deepEqual(answers, [[OK, 'queued']])
  })

  it('a body that throws at once is a temporary failure, logged as a bug', async () => {
    const { answers, log } = await run(() => {
      throw new TypeError('x is not a function')
    })
    assert.deepEqual(answers, LATER)
    assert.match(log.join('\n'), /^crit a bug: TypeError: x is not a function\n +at /)
  })

  for (const [title, thrown] of [
    ['an error', new Error('secret detail')],
    ['nothing', undefined],
    ['null', null],
    ['a text', 'secret detail'],
    ['an object without a prototype', Object.create(null)],
    [
      'an object that cannot be printed',
      {
        toString: () => {
          throw new Error('no')
        },
      },
    ],
  ] as const) {
    it(`a body that rejects with ${title} is a temporary failure`, async () => {
      const { answers } = await run(async () => {
        throw thrown
      })
      assert.deepEqual(answers, LATER)
    })
  }

  for (const [error, code, message] of [
    [new TempError('dns/servfail', 'no answer of 192.0.2.1'), DENYSOFT, '4.4.3 try again later'],
    [new TempError('vault/locked', '/etc/x'), DENYSOFT, '4.7.5 try again later'],
    [new PermError('mail/malformed', 'bob@b.example'), DENY, '5.6.0 message refused'],
    [new PermError('protection/no-key', 'b.example: x'), DENY, '5.7.3 message refused'],
    [new PermError('protection/no-key', 'x', { peerText: 'no key' }), DENY, '5.7.3 no key'],
    [new TempError('protection/no-key', 'x', { peerText: 'no key' }), DENYSOFT, '4.7.3 no key'],
  ] as const) {
    it(`${error.name} ${error.code} is answered with its digits and no detail, which the log has`, async () => {
      const { answers, log } = await run(async () => {
        throw error
      })
      assert.deepEqual(answers, [[code, message]])
      assert.deepEqual(log, [`warn ${error.code}: ${error.message}`])
    })
  }

  it('a failure is logged with the id of its connection', async () => {
    const lines: unknown[][] = []
    const connection = {
      transaction: null,
      logwarn: (...parts: unknown[]) => lines.push(parts),
    } as unknown as Connection
    const plugin = { name: 'hisho/test', timeout: 30 } as unknown as Plugin
    await new Promise<void>((resolve) => {
      const body: Body<Connection> = async () => {
        throw new TempError('dns/servfail', 'no answer')
      }
      hook(body).call(plugin, () => setImmediate(resolve), connection)
    })
    assert.deepEqual(lines, [[plugin, 'dns/servfail: no answer']])
  })

  it('a body that never answers is answered for at the deadline, and told', async () => {
    let told: Deadline | undefined
    const { answers, log } = await run(
      (_plugin, _connection, deadline) => ((told = deadline), never),
      {
        timeout: 1.2,
      },
    )
    assert.deepEqual(answers, LATER)
    assert.equal(told?.passed, true)
    assert.match(
      log.join('\n'),
      /^crit no result after 0\.\d+ s: answered with a temporary failure$/,
    )
  })

  it('what a body says or throws after the deadline counts no more', async () => {
    for (const late of [
      () => GO_ON,
      () => {
        throw new Error('late')
      },
    ]) {
      const { answers } = await run(
        async (_plugin, _connection, deadline) => {
          while (!deadline.passed) await new Promise((resolve) => setImmediate(resolve))
          return late()
        },
        { timeout: 1.05 },
      )
      assert.deepEqual(answers, LATER)
    }
  })

  it('in time the deadline has not passed', async () => {
    let told: Deadline | undefined
    await run(async (_plugin, _connection, deadline) => ((told = deadline), GO_ON))
    assert.equal(told?.passed, false)
  })

  for (const timeout of [0, 1, -1, Number.NaN, undefined as unknown as number]) {
    it(`with a timeout of ${timeout} it has a deadline of its own, and answers`, async (context) => {
      context.mock.timers.enable({ apis: ['setTimeout'] })
      const running = run(() => never, { timeout })
      context.mock.timers.tick(28_999)
      await new Promise(setImmediate)
      context.mock.timers.tick(1)
      assert.deepEqual((await running).answers, LATER)
    })
  }

  it('a later plugin that throws inside next() is not answered for again, and is logged', async () => {
    for (const body of [
      async () => GO_ON,
      async () => {
        throw new Error('ours')
      },
    ]) {
      const { answers, log } = await run(body, {
        next: () => {
          throw new Error('theirs')
        },
      })
      assert.equal(answers.length, 1)
      assert.ok(log.includes('crit a hook after this one failed: theirs'))
    }
  })

  it('a body without a verdict is a failure: Haraka takes no code for "go on"', async () => {
    for (const verdict of [undefined, null, {}, { code: undefined }, { code: '900' }, CONT]) {
      const { answers } = await run((async () => verdict) as unknown as Body<Connection>)
      assert.deepEqual(answers, LATER)
    }
  })

  it('a log that cannot be written to changes no answer', async () => {
    const logger = (): void => {
      throw new Error('disk full')
    }
    const bodies: Body<Connection>[] = [
      async () => {
        throw new Error('x')
      },
      () => never,
    ]
    for (const body of bodies)
      assert.deepEqual((await run(body, { timeout: 1.05, logger })).answers, LATER)
    const throwing = await run(async () => GO_ON, {
      logger,
      next: () => {
        throw new Error('theirs')
      },
    })
    assert.equal(throwing.answers.length, 1)
  })

  it('an error whose causes go in circles is answered and logged', async () => {
    const error = new TempError('dns/timeout', 'round')
    error.cause = error
    const { answers, log } = await run(async () => {
      throw error
    })
    assert.deepEqual(answers, [[DENYSOFT, '4.4.3 try again later']])
    assert.match(log.join(''), /dns\/timeout: round \(dns\/timeout: round \(/)
  })
})

describe('the description of an error for the log', () => {
  it('has codes, messages and causes', () => {
    const cause = new Error('ECONNREFUSED')
    assert.equal(
      describeError(new TempError('haraka/queue', 'cannot be read', { cause })),
      'haraka/queue: cannot be read (ECONNREFUSED)',
    )
  })
})

describe('the log for lib', () => {
  it('goes to the method of its level', () => {
    const lines: string[] = []
    const say = (level: string) => (text: unknown) => void lines.push(`${level} ${String(text)}`)
    const log = logTo({
      loginfo: say('info'),
      lognotice: say('notice'),
      logwarn: say('warn'),
      logerror: say('error'),
      logcrit: say('crit'),
    })
    for (const level of ['info', 'notice', 'warn', 'error'] as const) log(level, 'x')
    assert.deepEqual(lines, ['info x', 'notice x', 'warn x', 'error x'])
  })
})
