// The memory of what came already, asked for one transaction.
import { TempError } from '../errors.ts'
import { fieldsNamed, fieldValue, type Field } from '../mail/header.ts'
import type { LayerOptions } from '../protection/layers.ts'
import type { Connection, Transaction } from './api.ts'
import type { DecryptContext } from './decrypt.ts'
import { describe } from './hook.ts'

const DAY_SECONDS = 86_400

export function replayCheck(
  { plugin, services, settings }: DecryptContext,
  connection: Connection,
  { mail_from: from }: Transaction,
  fields: readonly Field[],
): Pick<LayerOptions, 'isReplay'> {
  const { days, onStoreFailure } = settings.replay
  if (days === 0) return {}
  const messageId = fieldsNamed(fields, 'message-id').map(fieldValue).join(' ')
  const envelope = { sender: from.address, messageId }
  return {
    isReplay: async (sealedKeyId) => {
      try {
        const met = await services.replays.meet(sealedKeyId, envelope, days * DAY_SECONDS)
        if (met === 'replay')
          connection.logwarn(
            plugin,
            'protection/replay: a ciphertext that came before, now under another envelope, is not opened',
          )
        return met === 'replay'
      } catch (error) {
        if (!(error instanceof TempError) || onStoreFailure === 'defer') throw error
        connection.logwarn(plugin, `opened unchecked, the memory fails: ${describe(error)}`)
        return false
      }
    },
  }
}
