// The rows of one view: pages of the list, and rows that the live stream adds.
import { useCallback, useEffect, useRef, useState, type StateUpdater } from 'preact/hooks'
import { api, ok } from '../api/client'
import { aborted, asApiError, type ApiError } from '../api/error'
import type { RequestLog } from '../api/types'
import { filterParams, timeParams, type Filters } from './filters'
import {
  afterHold,
  afterLive,
  afterPage,
  afterRefresh,
  mostLive,
  nothing,
  pageSize,
  type LogsState,
  type Page,
} from './logsState'

const againMs = 10_000 // until a list that failed is loaded again
const mostPages = 5 // of one catch-up or refresh

export interface Logs extends LogsState, Pages, Additions {}

interface Pages {
  /** Loads the next page, unless one is loading or there is none. */
  loadMore: () => void
  /** Loads the list from its beginning. */
  reload: () => void
  /** Loads what has failed to load. */
  retry: () => void
}

interface Additions {
  /** Adds rows of the live stream. */
  add: (rows: readonly RequestLog[]) => void
  /**
   * Loads what is newer than the rows that are there, or the list from its beginning where that is too much. A stream that was
   * resumed brings the rest.
   */
  catchUp: (resumed: boolean) => Promise<void>
  /** Loads the rows between two times again, the newest 1,000 of them. It adds none. */
  refresh: (startTime: string, endTime: string) => Promise<void>
  /** Holds new rows back, or shows them. */
  hold: (held: boolean) => void
  holding: () => boolean
}

type SetState = (update: StateUpdater<LogsState>) => void

/** useLogs loads the rows of a view. `filters` must be the same object while they are equal. */
export function useLogs(workspace: string, filters: Filters): Logs {
  const [state, setState] = useState(nothing)
  const pages = usePages(workspace, filters, setState)
  const additions = useAdditions(workspace, filters, state, setState, pages.reload)
  const tooMany = !additions.holding() && state.rows.length > mostLive
  useEffect(() => {
    if (tooMany) pages.reload()
  }, [tooMany])
  useRetry(state.error, pages.retry)
  return { ...state, ...pages, ...additions }
}

// A walk through the pages of one list: what it sends, and where it is.
interface Walk {
  abort: AbortController
  query: object
  busy: boolean
  next: string
}

function usePages(workspace: string, filters: Filters, setState: SetState): Pages {
  const [attempt, setAttempt] = useState(0)
  const walk = useRef<Walk | undefined>(undefined)

  const loadPage = useCallback(() => {
    const current = walk.current!
    if (current.busy) return
    current.busy = true
    const first = current.next === ''
    setState((s) => ({ ...s, loading: true, outdated: first && s.rows.length > 0 }))
    list(workspace, { ...current.query, ...(!first && { pageToken: current.next }) }, current.abort.signal).then(
      (page) => {
        current.busy = false
        current.next = page.nextPageToken
        setState((s) => afterPage(s, page, first))
      },
      (error: unknown) => {
        if (aborted(error)) return
        current.busy = false
        setState((s) => ({ ...s, loading: false, error: asApiError(error) }))
      },
    )
  }, [workspace])

  useEffect(() => {
    const abort = new AbortController()
    walk.current = { abort, query: queryOf(filters), busy: false, next: '' }
    loadPage()
    return () => abort.abort()
  }, [workspace, filters, attempt])

  const loadMore = useCallback(() => {
    if (walk.current?.next) loadPage()
  }, [loadPage])
  const reload = useCallback(() => setAttempt((n) => n + 1), [])
  const retry = useCallback(() => (walk.current?.next ? loadPage() : reload()), [loadPage])
  return { loadMore, reload, retry }
}

function useAdditions(workspace: string, filters: Filters, state: LogsState, setState: SetState, reload: () => void): Additions {
  const holding = useRef(false)
  const newest = useRef('') // id among the rows that are shown
  newest.current = state.rows[0]?.id ?? ''
  const listed = useRef(false) // whether the first page is there
  listed.current = state.page !== undefined && !state.outdated
  const abort = useRef(new AbortController())
  useEffect(() => {
    abort.current = new AbortController()
    return () => abort.current.abort()
  }, [workspace, filters])

  const add = useCallback(
    (rows: readonly RequestLog[]) => setState((s) => afterLive(s, rows, (row) => matches(row, filters), holding.current)),
    [filters],
  )
  const catchUp = useCallback(
    async (resumed: boolean) => {
      const { signal } = abort.current
      const known = newest.current
      let pageToken = ''
      for (let n = 0; n < mostPages; n++) {
        const page = await list(workspace, { ...queryOf(filters), ...(pageToken && { pageToken }) }, signal)
        setState((s) => afterLive(s, page.requestLogs, () => true, holding.current))
        pageToken = page.nextPageToken
        const oldest = page.requestLogs.at(-1)
        if (pageToken === '' || !oldest || oldest.id <= known || !listed.current || resumed) return
      }
      reload() // calls between these pages and the rows that are there would be missing
    },
    [workspace, filters],
  )
  const refresh = useCallback(
    async (startTime: string, endTime: string) => {
      const query = { ...filterParams({ ...filters, status: '' }), startTime, endTime, pageSize }
      const { signal } = abort.current
      let pageToken = ''
      for (let n = 0; n < mostPages; n++) {
        const page = await list(workspace, { ...query, ...(pageToken && { pageToken }) }, signal)
        setState((s) => afterRefresh(s, page.requestLogs, (row) => matches(row, filters)))
        pageToken = page.nextPageToken
        if (pageToken === '') return
      }
    },
    [workspace, filters],
  )
  const hold = useCallback((held: boolean) => {
    holding.current = held
    if (!held) setState(afterHold)
  }, [])
  return { add, catchUp, refresh, hold, holding: () => holding.current }
}

// The times of a walk do not move while the user scrolls.
const queryOf = (filters: Filters) => ({ ...filterParams(filters), ...timeParams(filters.range, Date.now()), pageSize })

const list = (workspaceId: string, query: object, signal: AbortSignal): Promise<Page> =>
  ok(api.GET('/v1/workspaces/{workspaceId}/request-logs', { params: { path: { workspaceId }, query }, signal }))

// The stream has all filters but "in progress": see useTail.
const matches = (row: RequestLog, filters: Filters): boolean => filters.status !== 'in_progress' || row.status === 0

// useRetry calls retry some time after an error that may go away.
function useRetry(error: ApiError | undefined, retry: () => void): void {
  useEffect(() => {
    if (!error?.away) return
    const timer = setTimeout(retry, againMs)
    return () => clearTimeout(timer)
  }, [error])
}
