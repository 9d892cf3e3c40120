import { useMemo } from 'preact/hooks'
import { count, plural } from '../format'
import { setQuery } from '../route'
import { Chevron } from '../ui/icons'
import { Picker } from '../ui/popups'
import type { Choice } from '../ui/popups/picker'
import { stateFilters, type Filters as Values } from './keyState'
import type { Keys } from './useKeys'

export const searchId = 'search-keys'

/** Filters are the search and the filters of the list, which live in the address, and how many keys match. */
export function Filters({ values, all, found }: { values: Values; all: Keys; found: number }) {
  const owners = useMemo(() => ownersOf(all.keys), [all.keys])
  return (
    <div class="filters">
      <div class="search" role="search">
        <input
          id={searchId}
          class="input"
          type="search"
          aria-label="Search by name or last 4"
          aria-keyshortcuts="/"
          placeholder="Search by name or last 4"
          maxLength={100}
          spellcheck={false}
          autocomplete="off"
          value={values.text}
          onInput={(event) => setQuery({ q: event.currentTarget.value }, 'replace')}
          onKeyDown={(event) => event.key === 'Escape' && values.text === '' && event.currentTarget.blur()}
        />
        {values.text === '' && <kbd aria-hidden="true">/</kbd>}
      </div>
      <div class="pills">
        <Filter title="State" choices={stateFilters} value={values.state} onChoose={(state) => setQuery({ state })} />
        <Filter
          title="Owner"
          choices={[{ value: '', label: 'Any' }, ...owners]}
          value={values.owner}
          onChoose={(owner) => setQuery({ owner })}
        />
      </div>
      <span class="matches figures" role="status">
        {countOf(found, all)}
      </span>
    </div>
  )
}

interface FilterProps {
  title: string
  choices: readonly Choice[]
  value: string
  onChoose: (value: string) => void
}

function Filter({ title, choices, value, onChoose }: FilterProps) {
  return (
    <span class={value ? 'pill active' : 'pill'}>
      <Picker
        title={title}
        trigger={
          <>
            {title}{' '}
            <b>
              <bdi>{choices.find((choice) => choice.value === value)?.label ?? value}</bdi>
            </b>
            <Chevron />
          </>
        }
        choices={choices}
        value={value}
        onChoose={onChoose}
      />
    </span>
  )
}

function ownersOf(keys: Keys['keys']) {
  const owners = new Set(keys.map((key) => key.externalId).filter((owner) => owner !== ''))
  return [...owners].sort((a, b) => a.localeCompare(b)).map((owner) => ({ value: owner, label: owner }))
}

function countOf(found: number, { keys, complete }: Keys): string {
  if (keys.length === 0) return ''
  const soFar = complete ? '' : ' so far'
  return found === keys.length ? plural(found, 'key') + soFar : `${count(found)} of ${plural(keys.length, 'key')}${soFar}`
}
