import type { ComponentChildren } from 'preact'
import { inWords } from '../changes'

/** Problem says why a change failed; nothing without an error. */
export function Problem({ error, children }: { error: unknown; children?: ComponentChildren }) {
  if (!error) return null
  return (
    <div class="note error" role="alert">
      <span>
        <bdi>{inWords(error)}</bdi>
      </span>
      {children}
    </div>
  )
}

export interface ActionsProps {
  /** What the main button does: "Create key". */
  label: string
  busy: boolean
  disabled?: boolean
  danger?: boolean
  onCancel: () => void
}

/** Actions are the buttons of a dialog that is a form: give up, and do it. */
export function Actions({ label, busy, disabled = false, danger = false, onCancel }: ActionsProps) {
  return (
    <div class="actions">
      <button type="button" class="button" onClick={onCancel}>
        Cancel
      </button>
      <button type="submit" class={danger ? 'button primary destructive' : 'button primary'} disabled={disabled} aria-busy={busy}>
        {busy ? 'One moment…' : label}
      </button>
    </div>
  )
}

/** onSubmit is a handler for forms that the page sends itself. */
export const onSubmit = (send: () => void) => (event: Event) => {
  event.preventDefault()
  send()
}
