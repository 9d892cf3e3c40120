import { setQuery } from '../route'
import { EmptyState } from '../ui/states'
import type { Filters } from './keyState'

/** NoKeys says what a key is, where there is none yet. */
export function NoKeys({ mayCreate }: { mayCreate: boolean }) {
  return (
    <EmptyState title="No keys yet">
      <p>
        A key lets one caller use your agents. Its scopes say which types of agents, its agent access says which of them. Callers
        send its secret in the header <code class="mono">api-key</code>, your backend checks each call, and every call leaves a
        row in the request logs.
      </p>
      {mayCreate ? (
        <button type="button" class="button primary" onClick={() => setQuery({ create: '1' })}>
          Create the first key
        </button>
      ) : (
        <p>A token of the role admin can create one.</p>
      )}
    </EmptyState>
  )
}

/** NoMatch says which filters can be loosened. */
export function NoMatch({ filters }: { filters: Filters }) {
  const loosen = (label: string, name: string) => (
    <button type="button" class="button" onClick={() => setQuery({ [name]: '' })}>
      {label}
    </button>
  )
  return (
    <EmptyState title="No key matches">
      <p>The search looks into the names of keys, and compares the last 4 characters of their secrets.</p>
      <div class="choices">
        {filters.text && loosen('Clear the search', 'q')}
        {filters.state && loosen('All states', 'state')}
        {filters.owner && loosen('Any owner', 'owner')}
      </div>
    </EmptyState>
  )
}
