import { useState } from 'preact/hooks'
import type { Key } from '../../api/types'
import { isolate } from '../../format'
import { Dialog } from '../../ui/popups/dialog'
import { readKey, reasonOf, updateKey } from '../changes'
import { changedFields, draftOf, patchOf, rebase, type Field } from '../draft'
import { fieldOf, KeyForm } from '../form/KeyForm'
import { useDraft } from '../form/useDraft'
import type { DialogsProps, Opened } from './Dialogs'
import { Newer } from './Newer'
import { Actions, onSubmit, Problem } from './parts'
import { useSubmit } from './useSubmit'

export interface EditDialogProps extends DialogsProps {
  opened: Extract<Opened, { kind: 'edit' }>
}

/** EditDialog changes fields of a key: only those that the user has changed are sent. */
export function EditDialog({ opened, put, close, onDone, finalFocus }: EditDialogProps) {
  // The key as it was when the user began, not as a reload of the list has it.
  const [base, setBase] = useState(opened.key)
  const { draft, wrong, setDraft, change, check, refused } = useDraft(draftOf(base))
  const [newer, setNewer] = useState<Field[]>()
  const { busy, error, submit } = useSubmit()
  const mine = changedFields(draftOf(base), draft)

  const saved = (key: Key) => {
    put(key)
    onDone(`${isolate(key.name)} is saved. New calls see the change within a second.`)
    close()
  }
  const takeOver = (key: Key) => {
    // The first try succeeded, and its response was lost.
    if (!changedFields(draftOf(key), draft).some((field) => mine.includes(field))) return saved(key)
    put(key)
    setNewer(changedFields(draftOf(base), draftOf(key)))
    setDraft(rebase(draft, draftOf(base), draftOf(key)))
    setBase(key)
  }
  const save = async () => {
    try {
      const { patch, mask } = patchOf(draft, mine, Date.now())
      saved(await updateKey(base, patch, mask))
    } catch (thrown) {
      if (reasonOf(thrown) === 'ETAG_MISMATCH') takeOver(await readKey(base.workspaceId, base.id))
      else refused(thrown)
    }
  }
  const send = () => {
    if (mine.length === 0) close()
    else if (check(mine)) submit(save)
  }
  return (
    <Dialog
      title={
        <>
          Edit <bdi>{base.name}</bdi>
        </>
      }
      onClose={close}
      firm={busy || mine.length > 0}
      finalFocus={finalFocus}
      initialFocus={() => fieldOf(opened.field)}
    >
      <form class="form" onSubmit={onSubmit(send)} noValidate>
        {newer && <Newer fields={newer} mine={mine} theirs={draftOf(base)} />}
        <KeyForm draft={draft} onChange={change} wrong={wrong} />
        <Problem error={error} />
        <Actions label="Save" busy={busy} onCancel={close} />
      </form>
    </Dialog>
  )
}
