// Exit codes as mail programs understand them: sysexits.h. A delivery agent queues the mail again on 75 and bounces it on
// all others.
import { HishoError, TempError, type ErrorCode } from '../errors.ts'

export const EXIT = {
  ok: 0,
  /** `doctor` found something that must be mended. */
  failed: 1,
  usage: 64,
  dataError: 65,
  noInput: 66,
  noUser: 67,
  unavailable: 69,
  software: 70,
  cannotCreate: 73,
  ioError: 74,
  tempFail: 75,
  noPermission: 77,
  config: 78,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** All others are about the data. */
const PERMANENT: Partial<Record<ErrorCode, ExitCode>> = {
  'cache/malformed': EXIT.config,
  'cli/usage': EXIT.usage,
  'container/no-match': EXIT.noUser,
  'crypto/unsupported': EXIT.unavailable,
  'haraka/settings': EXIT.config,
  'ibe/parameters': EXIT.unavailable,
  'protection/no-key': EXIT.unavailable,
  'protection/refused': EXIT.noPermission,
  'table/malformed': EXIT.config,
  'vault/malformed': EXIT.config,
}

export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof TempError) return EXIT.tempFail
  if (error instanceof HishoError) return PERMANENT[error.code] ?? EXIT.dataError
  return isSystemError(error) ? systemCode(error.code) : EXIT.software
}

/** What the system said about a file or a pipe: the operator's matter, not a bug. */
export function isSystemError(error: unknown): error is Error & { readonly code: string } {
  return error instanceof Error && 'syscall' in error && 'code' in error
}

function systemCode(code: string): ExitCode {
  if (code === 'ENOENT') return EXIT.noInput
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') return EXIT.noPermission
  if (code === 'ENOSPC' || code === 'EEXIST') return EXIT.cannotCreate
  return EXIT.ioError
}
