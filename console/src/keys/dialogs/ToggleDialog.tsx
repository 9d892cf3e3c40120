import type { Key } from '../../api/types'
import { isolate } from '../../format'
import { Dialog } from '../../ui/popups/dialog'
import { updateKey } from '../changes'
import type { DialogsProps } from './Dialogs'
import { Actions, onSubmit, Problem } from './parts'
import { useSubmit } from './useSubmit'

/** ToggleDialog disables a key, or enables it. */
export function ToggleDialog({ apiKey, put, close, onDone, finalFocus }: DialogsProps & { apiKey: Key }) {
  const { busy, error, submit } = useSubmit()
  const verb = apiKey.disabled ? 'Enable' : 'Disable'
  const send = () =>
    submit(async () => {
      put(await updateKey(apiKey, { disabled: !apiKey.disabled }, ['disabled']))
      onDone(
        `${isolate(apiKey.name)} is ${apiKey.disabled ? 'enabled. Its calls pass' : 'disabled. Its calls are denied'} within a second.`,
      )
      close()
    })
  return (
    <Dialog
      title={
        <>
          {verb} <bdi>{apiKey.name}</bdi>?
        </>
      }
      about={
        apiKey.disabled
          ? 'Calls with its secret pass again, within a second.'
          : 'Every call with its secret is denied with “disabled”, within a second. You can enable it again at any time.'
      }
      onClose={close}
      alert
      finalFocus={finalFocus}
    >
      <form onSubmit={onSubmit(send)}>
        <Problem error={error} />
        <Actions label={`${verb} key`} busy={busy} danger={!apiKey.disabled} onCancel={close} />
      </form>
    </Dialog>
  )
}
