// For `node --require`: the wall clock of the process and its threads is off by CLOCK_OFFSET_MS. Timers are not.
const offsetMs = Number(process.env['CLOCK_OFFSET_MS'] ?? 0)
const RealDate = Date

/** Exported only so that this file is a module. */
export class OffsetDate extends RealDate {
  constructor(...parts: readonly unknown[]) {
    if (parts.length === 0) super(RealDate.now() + offsetMs)
    else super(...(parts as [number]))
  }
  static override now(): number {
    return RealDate.now() + offsetMs
  }
}

globalThis.Date = OffsetDate as DateConstructor
