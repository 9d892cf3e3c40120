// The filters above the list. What they hold is in the address.
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { useAgentLabel, useCatalog } from '../catalog'
import type { LogKey, RequestLog } from '../api/types'
import { setQuery } from '../route'
import { Chevron, Cross } from '../ui/icons'
import { Menu, Picker } from '../ui/popups'
import type { Choice } from '../ui/popups/picker'
import { statuses, without, type Filters, type FilterName } from './filters'
import { SearchBox } from './SearchBox'
import { TimeFilter } from './TimeFilter'

export interface FilterBarProps {
  filters: Filters
  keys: readonly LogKey[] | undefined
  rows: readonly RequestLog[]
  retentionMs: number
  search: { current: HTMLInputElement | null }
  /** Stands at the right: the number of matches. */
  children: ComponentChildren
}

export function FilterBar({ filters, keys, rows, retentionMs, search, children }: FilterBarProps) {
  const keyChoices = [{ value: '', label: 'All keys' }, ...(keys ?? []).map(keyChoice)]
  return (
    <div class="filters">
      <SearchBox value={filters.endpoint} input={search} />
      <div class="pills">
        <TimeFilter range={filters.range} retentionMs={retentionMs} />
        <Pill title="Status" choices={statuses} value={filters.status} onChoose={(status) => setQuery({ status })} />
        <Pill
          title="Key"
          choices={keyChoices}
          value={filters.key}
          searchHint="Search by name or last 4"
          onChoose={(key) => setQuery({ key })}
        />
        <MoreFilters filters={filters} rows={rows} />
      </div>
      {children}
    </div>
  )
}

const keyChoice = (key: LogKey): Choice => ({
  value: key.keyId,
  label: key.keyName,
  detail: `····${key.keyLast4}${key.exists === false ? ' · deleted' : ''}`,
})

interface PillProps {
  title: string
  choices: readonly Choice[]
  value: string
  onChoose: (value: string) => void
  searchHint?: string
  ownValue?: (text: string) => string
  /** Removes the filter; without it, the empty choice does. */
  onRemove?: () => void
  opened?: boolean
}

function Pill({ title, choices, value, onChoose, searchHint, ownValue, onRemove, opened }: PillProps) {
  const chosen = choices.find((c) => c.value === value)?.label ?? value
  return (
    <span class={value ? 'pill active' : 'pill'}>
      <Picker
        title={title}
        triggerClass="button"
        trigger={
          <>
            {title}{' '}
            <b>
              <bdi>{chosen || '…'}</bdi>
            </b>
            <Chevron />
          </>
        }
        choices={choices}
        value={value}
        onChoose={onChoose}
        searchHint={searchHint}
        ownValue={ownValue}
        opened={opened}
      />
      {onRemove && (
        <button type="button" class="button remove" aria-label={`Remove the filter ${title}`} onClick={onRemove}>
          <Cross />
        </button>
      )}
    </span>
  )
}

interface More {
  name: FilterName
  title: string
  value: string
  choices: readonly Choice[]
  ownValue?: (text: string) => string
}

// MoreFilters are those that are shown only while they are used.
function MoreFilters({ filters, rows }: { filters: Filters; rows: readonly RequestLog[] }) {
  const [added, setAdded] = useState<FilterName>()
  const all = useMore(filters, rows)
  const shown = all.filter((more) => more.value || more.name === added)
  const hidden = all.filter((more) => !shown.includes(more))
  return (
    <>
      {shown.map(({ name, ...more }) => (
        <Pill
          key={name}
          {...more}
          opened={more.value === ''}
          onChoose={(value) => setQuery({ [name]: value })}
          onRemove={() => {
            setAdded(undefined)
            setQuery(without(name))
          }}
        />
      ))}
      {hidden.length > 0 && (
        <Menu
          trigger="+ Filter"
          triggerClass="button add-filter"
          items={hidden.map(({ name, title }) => ({ value: name, label: title, onSelect: () => setAdded(name) }))}
        />
      )}
    </>
  )
}

function useMore(filters: Filters, rows: readonly RequestLog[]): More[] {
  const { errorCodes, agentTypes } = useCatalog()
  const label = useAgentLabel()
  const plain = (value: string): Choice => ({ value, label: value })
  const use = (text: string) => `Use “${text}”`
  const agents = [...new Set(rows.map((row) => row.agentId).filter((id) => id !== ''))].slice(0, 50)
  return [
    { name: 'code', title: 'Error code', value: filters.code, choices: errorCodes.map((c) => plain(c.code)) },
    {
      name: 'method',
      title: 'Method',
      value: filters.method,
      ownValue: use,
      choices: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].map(plain),
    },
    {
      name: 'type',
      title: 'Agent type',
      value: filters.agentType,
      choices: agentTypes.map(({ agentType }) => ({ value: agentType, label: label(agentType) })),
    },
    { name: 'agent', title: 'Agent', value: filters.agentId, choices: agents.map(plain), ownValue: use },
  ]
}
