// What can be done with a key.
import type { Key } from '../api/types'
import { href, navigate } from '../route'
import { copy } from '../ui/CopyButton'
import type { MenuItem } from '../ui/popups/menu'
import { oldSecretEnd } from './keyState'

export interface Actions {
  details: (key: Key) => void
  edit: (key: Key) => void
  /** `graceSeconds` is how long the old secrets pass, as the dialog first has it. */
  rotate: (key: Key, graceSeconds: number) => void
  toggle: (key: Key) => void
  remove: (key: Key) => void
}

const defaultGrace = 86_400 // seconds, as in the API

/** menuOf returns the actions of a key. Who may not change keys gets those that change nothing. */
export function menuOf(key: Key, actions: Actions, mayChange: boolean): MenuItem[] {
  const item = (value: string, label: string, onSelect: () => void): MenuItem => ({ value, label, onSelect })
  const reads = [item('calls', 'View calls', () => navigate(callsOf(key))), item('copy', 'Copy id', () => void copy(key.id))]
  if (!mayChange) return [item('details', 'Details', () => actions.details(key)), ...reads]
  const rotating = oldSecretEnd(key, Date.now()) !== undefined
  return [
    item('edit', 'Edit', () => actions.edit(key)),
    item('details', 'Details', () => actions.details(key)),
    item('rotate', 'Rotate secret', () => actions.rotate(key, defaultGrace)),
    ...(rotating ? [item('end', 'End the old secret', () => actions.rotate(key, 0))] : []),
    item('toggle', key.disabled ? 'Enable' : 'Disable', () => actions.toggle(key)),
    ...reads,
    { ...item('delete', 'Delete', () => actions.remove(key)), danger: true },
  ]
}

/** callsOf is the address of the calls of a key. */
export const callsOf = (key: Key): string => href(key.workspaceId, 'request-logs', { key: key.id })
