// What stands in place of a page that the token cannot show.
import { useState } from 'preact/hooks'
import { href, navigate } from '../route'
import { useIsAdmin } from '../session/session'
import { EmptyState } from '../ui/states'

export function WrongRole({ role }: { role: string }) {
  return (
    <EmptyState title="This token cannot be used here">
      <p>
        Its role is <b>{role}</b>. Request logs and keys are shown to the roles <b>viewer</b> and <b>admin</b>.
      </p>
    </EmptyState>
  )
}

/** NoWorkspace is for tokens without any workspace to show. `all`: the token is for all workspaces, and there is none. */
export function NoWorkspace({ all }: { all: boolean }) {
  const isAdmin = useIsAdmin()
  if (!all) {
    return (
      <EmptyState title="This token is for no workspace">
        <p>Ask for a token that names a workspace.</p>
      </EmptyState>
    )
  }
  return (
    <EmptyState title="There is no workspace yet">
      <p>A workspace exists from its first key on.</p>
      {isAdmin && <FirstWorkspace />}
    </EmptyState>
  )
}

function FirstWorkspace() {
  const [id, setId] = useState('')
  const submit = (event: Event) => {
    event.preventDefault()
    navigate(href(id, 'api-keys', { create: '1' }))
  }
  return (
    <form class="field first-workspace" onSubmit={submit}>
      <label for="first-workspace">Workspace</label>
      <input
        id="first-workspace"
        class="input"
        pattern="[a-z0-9][a-z0-9_\-]{0,62}"
        required
        spellcheck={false}
        autocomplete="off"
        value={id}
        onInput={(event) => setId(event.currentTarget.value)}
      />
      <span class="hint">An id of your choice, e.g. acme: lower-case letters, digits, - and _.</span>
      <button type="submit" class="button primary">
        Create its first key
      </button>
    </form>
  )
}
