// Which row is open in the panel (it is in the address), and which one the keyboard is at.
import { useCallback, useEffect, useState } from 'preact/hooks'
import { api, ok } from '../api/client'
import { aborted, asApiError } from '../api/error'
import type { RequestLog } from '../api/types'
import { setQuery } from '../route'
import { toast } from '../ui/toast'
import type { TableHandle } from './Table'

export interface OpenRow {
  /** The open row; undefined if none is, or until it is loaded. */
  row: RequestLog | undefined
  /** The id of the row that the keyboard is at; empty at first. */
  cursor: string
  open: (id: string) => void
  openCursor: () => void
  close: () => void
  newer: () => void
  older: () => void
  hasNewer: boolean
  hasOlder: boolean
}

export function useOpenRow(
  workspace: string,
  id: string,
  rows: readonly RequestLog[],
  table: { current: TableHandle | null },
): OpenRow {
  const [cursor, setCursor] = useState(id)
  const listed = rows.find((row) => row.id === id)
  const other = useRow(workspace, id, listed !== undefined)
  useEffect(() => {
    if (id !== '') setCursor(id)
  }, [id])
  // The panel takes room from the list, which may hide the row.
  useEffect(() => {
    if (id !== '' && listed) table.current?.show(id)
  }, [id, listed !== undefined])

  const open = useCallback((next: string) => {
    setCursor(next)
    setQuery({ row: next })
  }, [])
  const at = rows.findIndex((row) => row.id === cursor)
  const move = (by: number) => {
    const next = rows[at < 0 ? 0 : at + by]
    if (!next) return
    setCursor(next.id)
    table.current?.show(next.id)
    // The panel's buttons keep the focus; from elsewhere it moves to the list, so that Enter opens the row.
    if (!document.activeElement?.closest('.panel, .sheet')) table.current?.focus()
    if (id !== '') setQuery({ row: next.id }, 'replace')
  }
  return {
    row: id === '' ? undefined : (listed ?? other),
    cursor,
    open,
    openCursor: () => cursor !== '' && open(cursor),
    close: () => {
      if (id === '') return
      setQuery({ row: '' })
      table.current?.focus()
    },
    newer: () => move(-1),
    older: () => move(1),
    hasNewer: at > 0,
    hasOlder: at >= 0 && at < rows.length - 1,
  }
}

// useRow loads the row of a link, which may be further back than the list or not match its filters.
function useRow(workspaceId: string, requestLogId: string, listed: boolean): RequestLog | undefined {
  const [row, setRow] = useState<RequestLog>()
  useEffect(() => {
    if (requestLogId === '' || listed || row?.id === requestLogId) return
    const abort = new AbortController()
    ok(
      api.GET('/v1/workspaces/{workspaceId}/request-logs/{requestLogId}', {
        params: { path: { workspaceId, requestLogId } },
        signal: abort.signal,
      }),
    ).then(
      (response) => setRow(response.requestLog),
      (error: unknown) => {
        if (aborted(error)) return
        if (asApiError(error).status === 404) setQuery({ row: '' }, 'replace')
        toast(asApiError(error).status === 404 ? 'There is no such call any more.' : 'The call cannot be loaded now.')
      },
    )
    return () => abort.abort()
  }, [workspaceId, requestLogId, listed])
  return row?.id === requestLogId ? row : undefined
}
