import { useMemo, useRef, useState } from 'preact/hooks'
import { setQuery, type Route } from '../route'
import type { Shortcuts } from '../ui/HelpDialog'
import { lazy } from '../ui/lazy'
import { useShortcuts } from '../ui/useShortcuts'
import { FilterBar } from './FilterBar'
import { activeFilters, readFilters } from './filters'
import { Head } from './Head'
import { Histogram } from './Histogram'
import { List } from './List'
import { Matches, Uncounted } from './Matches'
import { Notes } from './Notes'
import type { TableHandle } from './Table'
import { useData } from './useData'
import { useOpenRow } from './useOpenRow'

const HelpDialog = lazy(() => import('../ui/HelpDialog').then((m) => m.HelpDialog))
const shortcuts: Shortcuts = [
  [['/'], 'Search by endpoint'],
  [['j', '↓'], 'Next, older call'],
  [['k', '↑'], 'Previous, newer call'],
  [['Enter'], 'Open the call'],
  [['Esc'], 'Close the call'],
  [['l'], 'Live on or off'],
  [['?'], 'This help'],
]

/** LogsPage is every call made with the keys of a workspace. */
export function LogsPage({ route }: { route: Route }) {
  const workspace = route.workspace
  const filters = useFilters(route.query)
  // A range with an end has no new rows.
  const live = route.query.get('live') === '1' && !filters.range.to
  const data = useData(workspace, filters, live)
  const table = useRef<TableHandle>(null)
  const open = useOpenRow(workspace, route.query.get('row') ?? '', data.logs.rows, table)
  const search = useRef<HTMLInputElement>(null)
  const [help, setHelp] = useState(false)
  const setLive = (on: boolean) => setQuery({ live: on ? '1' : '', ...(on && { to: '' }) })
  useShortcuts({
    '/': () => search.current?.focus(),
    j: open.older,
    ArrowDown: open.older,
    k: open.newer,
    ArrowUp: open.newer,
    Enter: open.openCursor,
    Escape: open.close,
    l: () => setLive(!live),
    '?': () => setHelp(true),
  })
  return (
    <div class="logs">
      <Head {...{ workspace, filters, data, live }} onLive={setLive} onHelp={() => setHelp(true)} />
      <div hidden={data.unused}>
        <Histogram summary={data.chart} window={data.window} narrowed={activeFilters(filters).includes('time')} />
        <FilterBar filters={filters} keys={data.keys} rows={data.logs.rows} retentionMs={data.retentionMs} search={search}>
          <Matches summary={data.counted} live={live} />
          {data.uncounted && !data.logs.error && <Uncounted error={data.uncounted} retry={data.countAgain} />}
        </FilterBar>
      </div>
      <Notes data={data} />
      <List {...{ workspace, filters, data, live, open, table }} />
      {help && <HelpDialog shortcuts={shortcuts} onClose={() => setHelp(false)} />}
    </div>
  )
}

// useFilters returns the same object while the filters in the address stay the same.
function useFilters(query: URLSearchParams) {
  const current = JSON.stringify(readFilters(query))
  return useMemo(() => readFilters(query), [current])
}
