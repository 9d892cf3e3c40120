// The list, and beside it the open call.
import { useCallback, useState } from 'preact/hooks'
import { lazy } from '../ui/lazy'
import { Content } from './Content'
import type { Filters } from './filters'
import { Panel } from './Panel'
import type { TableHandle } from './Table'
import type { Data } from './useData'
import { useNarrow } from './useNarrow'
import type { OpenRow } from './useOpenRow'

const Sheet = lazy(() => import('./Sheet').then((m) => m.Sheet))

export interface ListProps {
  workspace: string
  filters: Filters
  data: Data
  live: boolean
  open: OpenRow
  table: { current: TableHandle | null }
}

export function List({ workspace, filters, data, live, open, table }: ListProps) {
  const { logs, keyById, retentionMs } = data
  const narrow = useNarrow()
  const [away, setAway] = useState(false)
  const onAway = useCallback(
    (isAway: boolean) => {
      setAway(isAway)
      logs.hold(isAway)
    },
    [logs.hold],
  )
  const panel = open.row && {
    row: open.row,
    logKey: keyById.get(open.row.keyId),
    onClose: open.close,
    onNewer: open.hasNewer ? open.newer : undefined,
    onOlder: open.hasOlder ? open.older : undefined,
  }
  return (
    <div class={panel && !narrow ? 'split open' : 'split'}>
      <Content
        logs={logs}
        filters={filters}
        keys={keyById}
        workspace={workspace}
        live={live}
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
      {panel && narrow && <Sheet {...panel} />}
    </div>
  )
}
