import { useRef } from 'preact/hooks'
import type { ApiError } from '../../api/error'
import { useCatalog } from '../../catalog'
import { Dialog } from '../../ui/popups/dialog'
import { createKey, newRequestId, readKey, reasonOf } from '../changes'
import { emptyDraft, inputOf, type Field } from '../draft'
import { KeyForm } from '../form/KeyForm'
import { useDraft } from '../form/useDraft'
import type { DialogsProps } from './Dialogs'
import { Actions, onSubmit, Problem } from './parts'
import { useSubmit } from './useSubmit'

const fields: readonly Field[] = ['name', 'scopes', 'agentIds', 'expiry', 'description', 'owner', 'metadata']

/** CreateDialog makes a key, and then shows its secret. */
export function CreateDialog({ workspace, put, open, close, finalFocus }: DialogsProps) {
  const { agentTypes } = useCatalog()
  const only = agentTypes.length === 1 ? [agentTypes[0]!.agentType] : []
  const { draft, wrong, change, check, refused } = useDraft({ ...emptyDraft, scopes: only })
  // The same for every try: the service makes one key, although the response of the first try may be lost.
  const requestId = useRef(newRequestId())
  const { busy, error, submit } = useSubmit()
  const create = async () => {
    const made = await createKey(workspace, inputOf(draft, Date.now()), requestId.current)
    put(made.key)
    open({ kind: 'secret', rotated: false, ...made })
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
      <form class="form" onSubmit={onSubmit(() => check(fields) && submit(() => create().catch(refused)))} noValidate>
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
