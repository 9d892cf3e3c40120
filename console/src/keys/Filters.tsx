import { useMemo } from 'preact/hooks'
import { count, plural } from '../format'
import { setQuery } from '../route'
import { Chevron } from '../ui/icons'
import { Picker } from '../ui/popups'
import { stateFilters, type Filters as Values } from './keyState'
import type { Keys } from './useKeys'

export const searchId = 'search-keys'

/** Filters are the search and the filters of the list, which live in the address, and how many keys match. */
export function Filters({ values, all, found }: { values: Values; all: Keys; found: number }) {
  const state = stateFilters.find((f) => f.value === values.state)!
  const owners = useMemo(() => ownersOf(all.keys), [all.keys])
  return (
    <div class="key-filters" role="search" aria-label="API keys">
      <span class="search">
        <input
          id={searchId}
          class="input"
          type="search"
          aria-label="Search by name or last 4"
          placeholder="Search by name or last 4"
          value={values.text}
          maxLength={100}
          onInput={(event) => setQuery({ q: event.currentTarget.value }, 'replace')}
          onKeyDown={(event) => event.key === 'Escape' && event.currentTarget.blur()}
        />
        <kbd aria-hidden="true">/</kbd>
      </span>
      <Picker
        title="State"
        label={`State: ${state.label}`}
        triggerClass={values.state ? 'button filter active' : 'button filter'}
        trigger={<Filter name="State" value={state.label} />}
        choices={stateFilters}
        value={values.state}
        onChoose={(value) => setQuery({ state: value })}
      />
      <Picker
        title="Owner"
        label={`Owner: ${values.owner || 'Any'}`}
        triggerClass={values.owner ? 'button filter active' : 'button filter'}
        trigger={<Filter name="Owner" value={values.owner || 'Any'} />}
        choices={[{ value: '', label: 'Any' }, ...owners]}
        value={values.owner}
        onChoose={(value) => setQuery({ owner: value })}
      />
      <span class="count faint figures" role="status">
        {countOf(found, all)}
      </span>
    </div>
  )
}

const Filter = ({ name, value }: { name: string; value: string }) => (
  <>
    <span class="filter-name">{name}</span> <bdi>{value}</bdi> <Chevron />
  </>
)

function ownersOf(keys: Keys['keys']) {
  const owners = new Set(keys.map((key) => key.externalId).filter((owner) => owner !== ''))
  return [...owners].sort((a, b) => a.localeCompare(b)).map((owner) => ({ value: owner, label: owner }))
}

function countOf(found: number, { keys, complete }: Keys): string {
  const soFar = complete ? '' : ' so far'
  return found === keys.length ? plural(found, 'key') + soFar : `${count(found)} of ${plural(keys.length, 'key')}${soFar}`
}
