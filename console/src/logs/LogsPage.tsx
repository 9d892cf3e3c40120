import { useCallback, useMemo, useRef, useState } from 'preact/hooks'
import { seconds, span } from '../format'
import { setQuery, type Route } from '../route'
import { lazy } from '../ui/lazy'
import { ErrorNote } from '../ui/states'
import { useShortcuts } from '../ui/useShortcuts'
import type { Shortcuts } from '../ui/HelpDialog'
import { chartWindow } from './chartWindow'
import { ExportMenu } from './ExportMenu'
import { FilterBar } from './FilterBar'
import { activeFilters, readFilters } from './filters'
import { Histogram } from './Histogram'
import { LiveButton } from './LiveButton'
import { Matches } from './Matches'
import { Content } from './Content'
import { Notes } from './Notes'
import { Panel } from './Panel'
import type { TableHandle } from './Table'
import { useLogKeys } from './useLogKeys'
import { useLogs } from './useLogs'
import { useNarrow } from './useNarrow'
import { useOpenRow } from './useOpenRow'
import { total, useSummary } from './useSummary'
import { useTail } from './useTail'

const HelpDialog = lazy(() => import('../ui/HelpDialog').then((m) => m.HelpDialog))
const Sheet = lazy(() => import('./Sheet').then((m) => m.Sheet))
const shortcuts: Shortcuts = [
  [['/'], 'Search by endpoint'],
  [['j', '↓'], 'Next, older call'],
  [['k', '↑'], 'Previous, newer call'],
  [['Enter'], 'Open the call'],
  [['Esc'], 'Close the call'],
  [['l'], 'Live on or off'],
  [['?'], 'This help'],
]
const usualRetentionMs = 30 * 86_400_000 // until the first page says it

/** LogsPage is every call made with the keys of a workspace. */
export function LogsPage({ route }: { route: Route }) {
  const workspace = route.workspace
  const live = route.query.get('live') === '1'
  const filters = useFilters(route.query)
  const logs = useLogs(workspace, filters)
  const keys = useLogKeys(workspace)
  const keyById = useMemo(() => new Map((keys ?? []).map((key) => [key.keyId, key])), [keys])
  const unused =
    logs.page?.nextPageToken === '' && logs.rows.length === 0 && !logs.outdated && activeFilters(filters).length === 0
  const tail = useTail(workspace, filters, live || unused, {
    onOpen: () => void logs.catchUp().catch(() => undefined), // the stream brings what comes later
    onRows: (rows) => {
      logs.add(rows)
      if (unused) setQuery({ live: '1' }, 'replace')
    },
  })

  const retentionMs = logs.page ? seconds(logs.page.retention) * 1000 : usualRetentionMs
  const window = useMemo(() => chartWindow(filters.range, retentionMs, Date.now()), [filters, retentionMs])
  const chart = useSummary(workspace, filters, window.range, window.bucket / 1000, live)
  const exact = useSummary(workspace, filters, window.selected && filters.range, 86_400, live)
  const counted = window.selected ? exact : chart

  const table = useRef<TableHandle>(null)
  const open = useOpenRow(workspace, route.query.get('row') ?? '', logs.rows, table)
  const [away, setAway] = useState(false)
  const onAway = useCallback(
    (isAway: boolean) => {
      setAway(isAway)
      logs.hold(isAway)
    },
    [logs.hold],
  )
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
  const narrow = useNarrow()
  const panel = open.row && {
    row: open.row,
    logKey: keyById.get(open.row.keyId),
    onClose: open.close,
    onNewer: open.hasNewer ? open.newer : undefined,
    onOlder: open.hasOlder ? open.older : undefined,
  }

  return (
    <div class="logs">
      <header class="page-head">
        <div>
          <h1>Request Logs</h1>
          <p>Every call made with your API keys. Logs are kept for {span(retentionMs)}.</p>
        </div>
        <LiveButton live={live} tail={tail} onToggle={setLive} />
        {!unused && <ExportMenu workspace={workspace} filters={filters} matches={counted && total(counted)} />}
        <button
          type="button"
          class="button icon plain help"
          aria-label="Keyboard help"
          title="Keyboard (?)"
          onClick={() => setHelp(true)}
        >
          ?
        </button>
      </header>
      <div hidden={unused}>
        <Histogram summary={chart} window={window} narrowed={activeFilters(filters).includes('time')} />
        <FilterBar filters={filters} keys={keys} rows={logs.rows} retentionMs={retentionMs} search={search}>
          <Matches summary={counted} live={live} />
        </FilterBar>
      </div>
      <div class="notes">
        {logs.error && (
          <ErrorNote
            error={logs.error}
            what={logs.outdated ? 'The calls cannot be loaded with these filters' : 'The calls cannot be loaded'}
            since={logs.loadedAt}
            retry={logs.reload}
          />
        )}
        <Notes tail={tail} logs={logs} />
      </div>
      <div class={panel && !narrow ? 'split open' : 'split'}>
        <Content
          logs={logs}
          filters={filters}
          keys={keyById}
          workspace={workspace}
          retentionMs={retentionMs}
          selected={open.cursor}
          onOpen={open.open}
          onAway={onAway}
          table={table}
          newRows={away ? logs.held.length : 0}
        />
        {panel && !narrow && (
          <aside class="panel" aria-label="Call">
            <Panel {...panel} />
          </aside>
        )}
      </div>
      {panel && narrow && <Sheet {...panel} />}
      {help && <HelpDialog shortcuts={shortcuts} onClose={() => setHelp(false)} />}
    </div>
  )
}

// useFilters returns the same object while the filters in the address stay the same.
function useFilters(query: URLSearchParams) {
  const current = JSON.stringify(readFilters(query))
  return useMemo(() => readFilters(query), [current])
}
