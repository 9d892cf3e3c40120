import { useEffect, useState } from 'preact/hooks'
import { api, ok } from '../../api/client'
import type { Key } from '../../api/types'
import { ago, isolate, plural } from '../../format'
import { Dialog } from '../../ui/popups/dialog'
import { useNow } from '../../ui/Time'
import { deleteKey } from '../changes'
import type { LastUse } from '../useLastUse'
import type { DialogsProps } from './Dialogs'
import { Actions, onSubmit, Problem } from './parts'
import { useSubmit } from './useSubmit'

const day = 86_400_000

/** DeleteDialog deletes a key after its name was typed. */
export function DeleteDialog({ apiKey, use, remove, close, onDone, finalFocus }: DialogsProps & { apiKey: Key }) {
  const [typed, setTyped] = useState('')
  const { busy, error, submit } = useSubmit()
  const send = () =>
    submit(async () => {
      await deleteKey(apiKey)
      close()
      remove(apiKey.id)
      onDone(`${isolate(apiKey.name)} is deleted.`)
    })
  return (
    <Dialog
      title={
        <>
          Delete <bdi>{apiKey.name}</bdi>?
        </>
      }
      about="Its calls are denied within a second, for good. Its request logs stay."
      onClose={close}
      firm={busy}
      alert
      finalFocus={finalFocus}
      initialFocus={() => document.getElementById('delete-name')}
    >
      <form class="form" onSubmit={onSubmit(send)}>
        <Calls apiKey={apiKey} use={use} />
        <div class="field">
          <label for="delete-name">Type the name of the key to delete it</label>
          <span class="hint data typed-name">{apiKey.name}</span>
          <input
            id="delete-name"
            class="input"
            autocomplete="off"
            spellcheck={false}
            value={typed}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
        </div>
        <Problem error={error} />
        <Actions label="Delete key" busy={busy} disabled={typed.trim() !== apiKey.name.trim()} danger onCancel={close} />
      </form>
    </Dialog>
  )
}

// Calls says how much the key is in use.
function Calls({ apiKey, use }: { apiKey: Key; use: LastUse }) {
  const now = useNow()
  const calls = useCallsOfDay(apiKey)
  const last = use.times.get(apiKey.id)
  if (calls === undefined) return <p class="quiet">{last ? `Last used ${ago(last, now)}.` : ' '}</p>
  return (
    <p class={calls > 0 ? 'note warning' : 'quiet'}>
      <span>
        {calls > 0 ? `It had ${plural(calls, 'call')} in the last 24 hours.` : 'It had no call in the last 24 hours.'}
        {last && ` Last used ${ago(last, now)}.`}
      </span>
    </p>
  )
}

// useCallsOfDay returns how many calls a key had in the last 24 hours; undefined until that is known.
function useCallsOfDay(apiKey: Key): number | undefined {
  const [calls, setCalls] = useState<number>()
  useEffect(() => {
    const abort = new AbortController()
    const query = { keyId: apiKey.id, startTime: new Date(Date.now() - day).toISOString(), bucket: '86400s' }
    ok(
      api.GET('/v1/workspaces/{workspaceId}/request-logs:summary', {
        params: { path: { workspaceId: apiKey.workspaceId }, query },
        signal: abort.signal,
      }),
    ).then(
      ({ buckets }) => setCalls(buckets.flatMap((b) => b.counts).reduce((sum, c) => sum + Number(c.callCount), 0)),
      () => undefined, // The dialog is of use without it.
    )
    return () => abort.abort()
  }, [apiKey.id])
  return calls
}
