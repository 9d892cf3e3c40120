import { useRef, useState } from 'preact/hooks'
import { span } from '../../format'
import { Dialog } from '../../ui/popups/dialog'
import { newRequestId, reasonOf, rotateKey } from '../changes'
import { oldSecretEnd } from '../keyState'
import type { DialogsProps, Opened } from './Dialogs'
import { Actions, onSubmit, Problem } from './parts'
import { useSubmit } from './useSubmit'

const hour = 3_600
const graces = [
  { seconds: 0, label: 'At once', hint: 'calls with the old secret are denied within a second' },
  { seconds: hour, label: 'In 1 hour', hint: '' },
  { seconds: 24 * hour, label: 'In 24 hours', hint: 'time to deploy the new one' },
  { seconds: 7 * 24 * hour, label: 'In 7 days', hint: '' },
  { seconds: 30 * 24 * hour, label: 'In 30 days', hint: 'the longest' },
]

export interface RotateDialogProps extends DialogsProps {
  opened: Extract<Opened, { kind: 'rotate' }>
}

/** RotateDialog gives a key a new secret, and then shows it. */
export function RotateDialog({ opened, put, open, close, finalFocus }: RotateDialogProps) {
  const { key } = opened
  const [grace, setGrace] = useState(opened.graceSeconds)
  const requestId = useRef(newRequestId())
  const { busy, error, submit } = useSubmit()
  const send = () =>
    submit(async () => {
      try {
        const made = await rotateKey(key, grace, requestId.current)
        put(made.key)
        open({ kind: 'secret', rotated: true, ...made })
      } catch (thrown) {
        // The rotation is stored and its secret lost: the next try is another rotation.
        if (['CHANGE_NOT_IN_FORCE', 'REQUEST_ID_USED'].includes(reasonOf(thrown))) requestId.current = newRequestId()
        throw thrown
      }
    })
  const end = oldSecretEnd(key, Date.now())
  return (
    <Dialog
      title={
        <>
          Rotate the secret of <bdi>{key.name}</bdi>
        </>
      }
      about="The key gets a new secret, which is shown once. Everything else of the key stays."
      onClose={close}
      firm={busy}
      finalFocus={finalFocus}
      initialFocus={() => document.querySelector('[name=grace]:checked')}
    >
      <form class="form" onSubmit={onSubmit(send)}>
        {end && (
          <p class="note">
            <span>
              An old secret passes for {span(end.getTime() - Date.now())} more. “At once” ends it together with the present one,{' '}
              <span class="mono">····{key.last4}</span>: then only the new secret passes.
            </span>
          </p>
        )}
        <fieldset class="field">
          <legend class="label">The present secret ends</legend>
          {graces.map(({ seconds, label, hint }) => (
            <label class="choice" key={seconds}>
              <input type="radio" name="grace" checked={grace === seconds} onChange={() => setGrace(seconds)} />
              <span>
                {label} {hint && <span class="faint">{hint}</span>}
              </span>
            </label>
          ))}
        </fieldset>
        <Problem error={error} />
        <Actions label="Rotate secret" busy={busy} danger={grace === 0} onCancel={close} />
      </form>
    </Dialog>
  )
}
