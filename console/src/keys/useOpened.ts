// What is open over the page: by the address, or by a click.
import { useState } from 'preact/hooks'
import type { Key } from '../api/types'
import { setQuery } from '../route'
import { useIsAdmin, useSession } from '../session/session'
import type { Opened } from './dialogs/Dialogs'
import type { Actions } from './menu'

/** useOpened returns what is open, for the key that the address names, and what opens and closes it. */
export function useOpened(query: URLSearchParams, linked: Key | undefined) {
  const [clicked, setClicked] = useState<Opened>()
  const admin = useIsAdmin()
  const session = useSession()
  // What is open by a click is not in the address: a reload must not do it again.
  const open = (next: Opened | undefined) => {
    setClicked(next)
    setQuery({ key: '', edit: '', enable: '', create: '' }, 'replace')
  }
  const actions: Actions = {
    details: (key) => setQuery({ key: key.id }),
    edit: (key) => setQuery({ key: key.id, edit: 'name' }),
    rotate: (key, graceSeconds) => open({ kind: 'rotate', key, graceSeconds }),
    toggle: (key) => open({ kind: 'toggle', key }),
    remove: (key) => open({ kind: 'delete', key }),
  }
  const opened = clicked ?? (session && fromAddress(query, linked, admin))
  return { opened, open, close: () => open(undefined), actions }
}

// fromAddress returns what the address opens: see console/README.md.
function fromAddress(query: URLSearchParams, key: Key | undefined, admin: boolean): Opened | undefined {
  if (admin && query.has('create')) return { kind: 'create' }
  if (!key) return undefined
  if (admin && query.has('enable') && key.disabled) return { kind: 'toggle', key }
  if (admin && query.has('edit')) return { kind: 'edit', key, field: query.get('edit')! }
  return { kind: 'details', key }
}
