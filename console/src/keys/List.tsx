// The list of keys with its filters, and what stands in its place.
import { useRef } from 'preact/hooks'
import { ErrorNote, useSlow } from '../ui/states'
import { useNow } from '../ui/Time'
import { useShortcuts } from '../ui/useShortcuts'
import { ExpiryNotice } from './ExpiryNotice'
import { Filters, searchId } from './Filters'
import { filtersOf, matching } from './keyState'
import { menuOf, type Actions } from './menu'
import { NoKeys, NoMatch } from './NoKeys'
import { Skeleton } from './Skeleton'
import { Table, type TableHandle } from './Table'
import type { Keys } from './useKeys'
import type { LastUse } from './useLastUse'

export interface ListProps {
  all: Keys
  use: LastUse
  actions: Actions
  admin: boolean
  query: URLSearchParams
}

export function List({ all, use, actions, admin, query }: ListProps) {
  const table = useRef<TableHandle>(null)
  useShortcuts({
    '/': () => document.getElementById(searchId)?.focus(),
    j: () => table.current?.move(1),
    k: () => table.current?.move(-1),
  })
  const now = useNow(60_000)
  const filters = filtersOf(query)
  const found = matching(all.keys, filters, now)
  const loading = all.keys.length === 0 && !all.complete && !all.error
  const slow = useSlow(loading)
  if (all.complete && all.keys.length === 0) return <NoKeys mayCreate={admin} />
  return (
    <>
      {all.error && <ErrorNote error={all.error} what="The keys cannot be loaded" since={all.since} retry={all.reload} />}
      {all.complete && <ExpiryNotice keys={all.keys} />}
      {(slow || all.keys.length > 0) && <Filters values={filters} all={all} found={found.length} />}
      {slow && <Skeleton />}
      {found.length > 0 && (
        <Table
          keys={found}
          use={use}
          wanted={filters.text.trim()}
          selected={query.get('key') ?? ''}
          onOpen={admin ? actions.edit : actions.details}
          menu={(key) => menuOf(key, actions, admin)}
          handle={table}
        />
      )}
      {all.complete && found.length === 0 && <NoMatch filters={filters} />}
    </>
  )
}
