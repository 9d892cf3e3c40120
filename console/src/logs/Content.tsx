// The list, or what stands in its place.
import type { LogKey } from '../api/types'
import { plural } from '../format'
import { useSlow } from '../ui/states'
import { FirstCall, NoMatch, Waiting } from './Empty'
import { activeFilters, type Filters } from './filters'
import { Foot } from './Foot'
import { Table, type TableHandle } from './Table'
import type { Logs } from './useLogs'

export interface ContentProps {
  logs: Logs
  filters: Filters
  keys: ReadonlyMap<string, LogKey>
  workspace: string
  live: boolean
  retentionMs: number
  selected: string
  onOpen: (id: string) => void
  onAway: (away: boolean) => void
  table: { current: TableHandle | null }
  /** How many new rows are held back. */
  newRows: number
}

export function Content(props: ContentProps) {
  const { logs, filters, keys, workspace, live, retentionMs, selected, onOpen, onAway, table, newRows } = props
  const slow = useSlow(logs.loading && logs.page === undefined)
  if (!logs.page) return slow ? <Skeletons /> : <div />
  const more = logs.page.nextPageToken !== ''
  // The service ends a page early only when its search time is over.
  const short = more && logs.budgetEnded
  const foot = <Foot logs={logs} retentionMs={retentionMs} short={short} />
  if (logs.rows.length === 0 && !logs.outdated) {
    if (more) return foot
    const active = activeFilters(filters)
    const watched = live && active.length === 1 && keys.get(filters.key)
    if (watched) return <Waiting workspace={workspace} name={watched.keyName} />
    return active.length > 0 ? <NoMatch filters={filters} keys={keys} /> : <FirstCall workspace={workspace} />
  }
  const showNew = () => {
    logs.hold(false)
    table.current?.toTop()
  }
  return (
    <div class="list">
      {newRows > 0 && (
        <button type="button" class="button primary new-rows" onClick={showNew}>
          {plural(newRows, 'new call')}
        </button>
      )}
      <div class="visually-hidden" role="status" aria-live="polite">
        {newRows > 0 && `${plural(newRows, 'new call')} above`}
      </div>
      <Table
        rows={logs.rows}
        keys={keys}
        wanted={filters.endpoint}
        selected={selected}
        more={more}
        walks={logs.walks}
        outdated={logs.outdated && logs.loading}
        onOpen={onOpen}
        onEnd={() => short || logs.error || logs.loadMore()}
        onAway={onAway}
        footer={foot}
        handle={table}
      />
    </div>
  )
}

function Skeletons() {
  return (
    <div class="skeletons" role="status" aria-label="Loading">
      {Array.from({ length: 12 }, (_, i) => (
        <div key={i}>
          <div class="skeleton" />
        </div>
      ))}
    </div>
  )
}
