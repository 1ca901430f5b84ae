#!/usr/bin/env node
// The command `hisho`: errors become one line and an exit code, and everything is closed so that the process ends.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CommanderError, type Command } from 'commander'
import { systemClock } from '../clock.ts'
import { HishoError } from '../errors.ts'
import { createContext } from './context.ts'
import { EXIT, exitCodeOf, isSystemError, type ExitCode } from './exit-code.ts'
import { packageRoot } from './haraka-directory.ts'
import { buildProgram, type Run } from './program.ts'
import { createTerminal, type Terminal } from './terminal.ts'

async function main(): Promise<void> {
  const { stdout, stderr, env } = process
  const terminal = createTerminal({ stdout, stderr, environment: env })
  const runWith =
    (harakaOption: string | undefined): Run =>
    async (action) => {
      const context = createContext({
        terminal,
        environment: env,
        clock: systemClock,
        harakaOption,
      })
      try {
        process.exitCode = (await action(context)) ?? EXIT.ok
      } finally {
        await context.close()
      }
    }
  try {
    await strict(buildProgram(readVersion(), runWith)).parseAsync()
  } catch (error) {
    process.exitCode = report(error, terminal)
    // Who writes to us may not have finished.
    process.stdin.destroy()
  }
}

/** Usage errors as exceptions, in each command, so that they get the exit code of sysexits.h. */
function strict(command: Command): Command {
  command.exitOverride()
  for (const one of command.commands) strict(one)
  return command
}

function report(error: unknown, terminal: Terminal): ExitCode {
  // commander has said its own already, and help that was asked for is no error.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
  const code = exitCodeOf(error)
  if (error instanceof HishoError) {
    const cause = isSystemError(error.cause) ? ` (${error.cause.code})` : ''
    terminal.note(`hisho: ${error.code}: ${error.message}${cause}`)
  } else if (isSystemError(error)) {
    if (error.code !== 'EPIPE') terminal.note(`hisho: ${error.message}`)
  } else {
    terminal.note('hisho: this is a bug; with HISHO_DEBUG=1 it says where')
  }
  if (process.env['HISHO_DEBUG'] && error instanceof Error) terminal.note(error.stack ?? '')
  return code
}

function readVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8'))
  return typeof manifest === 'object' && manifest && 'version' in manifest
    ? String(manifest.version)
    : 'unknown'
}

void main()
