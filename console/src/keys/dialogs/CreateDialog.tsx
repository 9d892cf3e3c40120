import { useRef, useState } from 'preact/hooks'
import { ApiError } from '../../api/error'
import { useCatalog } from '../../catalog'
import { Dialog } from '../../ui/popups/dialog'
import { createKey, newRequestId, readKey, reasonOf } from '../changes'
import { changedFields, emptyDraft, inputOf, type Draft, type Field, type Wrong } from '../draft'
import { KeyForm, focusWrong } from '../form/KeyForm'
import { without, wrongByApi, wrongIn } from '../validate'
import type { DialogsProps } from './Dialogs'
import { Actions, onSubmit, Problem } from './parts'
import { useSubmit } from './useSubmit'

const fields: readonly Field[] = ['name', 'scopes', 'agentIds', 'expiry', 'description', 'owner', 'metadata']

/** CreateDialog makes a key, and then shows its secret. */
export function CreateDialog({ workspace, put, open, close, finalFocus }: DialogsProps) {
  const { agentTypes } = useCatalog()
  const only = agentTypes.length === 1 ? [agentTypes[0]!.agentType] : []
  const [draft, setDraft] = useState<Draft>({ ...emptyDraft, scopes: only })
  const [wrong, setWrong] = useState<Wrong>({})
  // The same for every try: the service makes one key, although the response of the first try may be lost.
  const requestId = useRef(newRequestId())
  const { busy, error, submit } = useSubmit()
  const change = (next: Draft) => {
    setDraft(next)
    setWrong(without(wrong, changedFields(draft, next)))
  }
  const send = () => {
    const found = wrongIn(draft, fields, Date.now())
    setWrong(found)
    if (Object.keys(found).length > 0) return focusWrong(found)
    submit(async () => {
      try {
        const made = await createKey(workspace, inputOf(draft, Date.now()), requestId.current)
        put(made.key)
        open({ kind: 'secret', rotated: false, ...made })
      } catch (thrown) {
        const byField = thrown instanceof ApiError ? wrongByApi(thrown, draft) : {}
        setWrong(byField)
        if (Object.keys(byField).length === 0) throw thrown
        focusWrong(byField)
      }
    })
  }
  const rotate = (id: string) =>
    submit(async () => {
      const key = await readKey(workspace, id)
      put(key)
      open({ kind: 'rotate', key, graceSeconds: 0 })
    })
  return (
    <Dialog
      title="Create key"
      onClose={close}
      firm={busy}
      finalFocus={finalFocus}
      initialFocus={() => document.getElementById('field-name')}
    >
      <form class="form" onSubmit={onSubmit(send)} noValidate>
        <KeyForm draft={draft} onChange={change} wrong={wrong} />
        <Problem error={error}>
          {reasonOf(error) === 'REQUEST_ID_USED' && (
            <button type="button" class="button" onClick={() => rotate((error as ApiError).metadata.key_id!)}>
              Rotate secret
            </button>
          )}
        </Problem>
        <Actions label="Create key" busy={busy} onCancel={close} />
      </form>
    </Dialog>
  )
}
