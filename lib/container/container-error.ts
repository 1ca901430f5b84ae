// Why an age file was not opened, so that a log line and a test can tell the layers apart.
import { PermError, type ErrorCode } from '../errors.ts'

/** The layer that refused. `key`: a recipient or identity string does not parse. */
export type ContainerPart = 'armor' | 'header' | 'match' | 'hmac' | 'payload' | 'key'

const CODES: Readonly<Record<ContainerPart, ErrorCode>> = {
  armor: 'container/malformed',
  header: 'container/malformed',
  match: 'container/no-match',
  hmac: 'container/damaged',
  payload: 'container/damaged',
  key: 'container/malformed',
}

export class ContainerError extends PermError {
  readonly part: ContainerPart

  constructor(part: ContainerPart, message: string, code: ErrorCode = CODES[part]) {
    super(code, message)
    this.part = part
  }
}
