// A small file system in memory, for tests of a disk that is full.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'

export interface SmallDisk {
  readonly directory: string
  resize(size: string): void
  close(): void
}

/** `size` as mount has it: `1m`. */
export function mountSmallDisk(size: string): SmallDisk {
  const directory = mkdtempSync(join(tmpdir(), 'hisho-disk-'))
  try {
    call('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', directory])
  } catch (error) {
    rmSync(directory, { recursive: true, force: true })
    throw error
  }
  return {
    directory,
    resize: (wanted) => call('mount', ['-o', `remount,size=${wanted}`, directory]),
    close: () => {
      call('umount', ['--lazy', directory])
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

function call(program: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`)
}

/** For `skip`: false where a test may mount. A container has root and may not. */
export const mountMissing: string | false = (() => {
  if (userInfo().uid !== 0) return 'a mount needs root'
  try {
    mountSmallDisk('1m').close()
    return false
  } catch {
    return 'mount is not allowed here (CAP_SYS_ADMIN)'
  }
})()
