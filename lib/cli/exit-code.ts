// Exit codes as mail programs understand them: sysexits.h. A delivery agent queues the mail again on 75 and bounces it on
// all others.
import { HishoError, TempError } from '../errors.ts'

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

export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof TempError) return EXIT.tempFail
  if (error instanceof HishoError) return permanentCode(error)
  return isSystemError(error) ? systemCode(error.code) : EXIT.software
}

function permanentCode({ code }: HishoError): ExitCode {
  switch (code) {
    case 'cli/usage':
      return EXIT.usage
    case 'haraka/settings':
    case 'table/malformed':
    case 'vault/malformed':
    case 'cache/malformed':
      return EXIT.config
    case 'protection/no-key':
    case 'ibe/parameters':
    case 'crypto/unsupported':
      return EXIT.unavailable
    case 'container/no-match':
      return EXIT.noUser
    case 'protection/refused':
      return EXIT.noPermission
    default:
      return EXIT.dataError
  }
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
