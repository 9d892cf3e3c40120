// Everything that the page loads: the rows, the keys, the counts and the live stream.
import { useMemo } from 'preact/hooks'
import type { ApiError } from '../api/error'
import type { LogKey, Summary } from '../api/types'
import { seconds } from '../format'
import { setQuery } from '../route'
import { useNow } from '../ui/Time'
import { chartWindow, type ChartWindow } from './chartWindow'
import { activeFilters, type Filters } from './filters'
import { useLogKeys } from './useLogKeys'
import { useLogs, type Logs } from './useLogs'
import { useProgress } from './useProgress'
import { useSummary } from './useSummary'
import { useTail, type TailState } from './useTail'

const usualRetentionMs = 30 * 86_400_000 // until the first page says it
const windowMs = 5 * 60_000 // until the histogram takes in later times

export interface Data {
  logs: Logs
  tail: TailState
  /** Undefined until they are loaded. */
  keys: readonly LogKey[] | undefined
  keyById: ReadonlyMap<string, LogKey>
  /** Whether the workspace has no call at all. */
  unused: boolean
  retentionMs: number
  window: ChartWindow
  /** The counts of the window, and those of the selected range. */
  chart: Summary | undefined
  counted: Summary | undefined
  /** Why there are no counts; undefined while they load. */
  uncounted: ApiError | undefined
  countAgain: () => void
}

/** useData loads what a view shows. `filters` must be the same object while they are equal. */
export function useData(workspace: string, filters: Filters, live: boolean): Data {
  const logs = useLogs(workspace, filters)
  const keys = useLogKeys(workspace, filters.key)
  const keyById = useMemo(() => new Map((keys ?? []).map((key) => [key.keyId, key])), [keys])
  const unused = isUnused(logs, filters)
  const tail = useTail(workspace, filters, live || unused, {
    onOpen: (resumed) => void logs.catchUp(resumed).catch(() => undefined), // the stream brings what comes later
    onRows: (rows) => {
      logs.add(rows)
      if (unused) setQuery({ live: '1' }, 'replace')
    },
  })
  useProgress(logs, !live && !unused)
  const retentionMs = logs.page ? seconds(logs.page.retention) * 1000 : usualRetentionMs
  const now = useNow(windowMs)
  const window = useMemo(() => chartWindow(filters.range, retentionMs, Date.now()), [filters, retentionMs, now])
  const chart = useSummary(workspace, filters, window.range, window.bucket / 1000, live)
  const exact = useSummary(workspace, filters, window.selected && filters.range, window.bucket / 1000, live)
  const counted = window.selected ? exact : chart
  const countAgain = () => {
    chart.retry()
    if (window.selected) exact.retry()
  }
  return {
    ...{ logs, tail, keys, keyById, unused, retentionMs, window, countAgain },
    chart: chart.summary,
    counted: counted.summary,
    uncounted: chart.summary && counted.summary ? undefined : (chart.error ?? counted.error),
  }
}

function isUnused({ page, rows, outdated }: Logs, filters: Filters): boolean {
  return page?.nextPageToken === '' && rows.length === 0 && !outdated && activeFilters(filters).length === 0
}
