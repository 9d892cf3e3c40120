// The rows of one view: pages of the list, and rows that the live stream adds.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { api, ok } from '../api/client'
import { aborted, asApiError, type ApiError } from '../api/error'
import type { components } from '../api/schema'
import type { RequestLog } from '../api/types'
import { filterParams, timeParams, type Filters } from './filters'
import { merge, update } from './rows'

const pageSize = 200
const againMs = 10_000 // until a list that failed is loaded again
const catchUpPages = 5

type Page = components['schemas']['ListRequestLogsResponse']

export interface LogsState {
  rows: readonly RequestLog[]
  /** New rows that are held back while the user reads further down. */
  held: readonly RequestLog[]
  /** The last page; undefined before the first one. */
  page: Page | undefined
  /** Times whose rows cannot be read. */
  unreadable: Page['unreadableRanges']
  loading: boolean
  error: ApiError | undefined
  /** When the rows were last loaded. */
  loadedAt: Date | undefined
  /** Whether the last page ended because its search time was over. */
  budgetEnded: boolean
  /** Whether the rows belong to earlier filters. */
  outdated: boolean
}

export interface Logs extends LogsState {
  /** Loads the next page, unless one is loading. */
  loadMore: () => void
  /** Loads the list from its beginning. */
  reload: () => void
  /** Adds rows of the live stream. */
  add: (rows: readonly RequestLog[]) => void
  /** Loads what is newer than the rows that are there. */
  catchUp: () => Promise<void>
  /** Holds new rows back, or shows them. */
  hold: (held: boolean) => void
}

const nothing: LogsState = {
  rows: [],
  held: [],
  page: undefined,
  unreadable: [],
  loading: true,
  error: undefined,
  loadedAt: undefined,
  budgetEnded: false,
  outdated: false,
}

/** useLogs loads the rows of a view. `filters` must be the same object while they are equal. */
export function useLogs(workspace: string, filters: Filters): Logs {
  const [state, setState] = useState(nothing)
  const [attempt, setAttempt] = useState(0)
  const holding = useRef(false)
  const newest = useRef('') // id among the rows that are shown
  newest.current = state.rows[0]?.id ?? ''
  // The walk through the pages of the current filters: what it sends, and its end.
  const walk = useRef({ abort: new AbortController(), query: {}, busy: false, next: '' })

  const loadPage = useCallback(() => {
    const current = walk.current
    if (current.busy) return
    current.busy = true
    const first = current.next === ''
    setState((s) => ({ ...s, loading: true, outdated: first && s.rows.length > 0 }))
    list(workspace, { ...current.query, pageSize, ...(!first && { pageToken: current.next }) }, current.abort.signal).then(
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
    // Held times do not move while the user scrolls.
    const query = { ...filterParams(filters), ...timeParams(filters.range, Date.now()) }
    walk.current = { abort: new AbortController(), query, busy: false, next: '' }
    loadPage()
    return () => walk.current.abort.abort()
  }, [workspace, filters, attempt])

  const reload = useCallback(() => setAttempt((n) => n + 1), [])
  useRetry(state.error, walk.current.next === '' ? reload : loadPage)

  const add = useCallback(
    (rows: readonly RequestLog[]) => {
      setState((s) =>
        afterLive(
          s,
          rows.filter((row) => matches(row, filters)),
          rows,
          holding.current,
        ),
      )
    },
    [filters],
  )

  const catchUp = useCallback(async () => {
    const { query, abort } = walk.current
    const newestKnown = newest.current
    let pageToken = ''
    for (let n = 0; n < catchUpPages; n++) {
      const page = await list(workspace, { ...query, pageSize, ...(pageToken && { pageToken }) }, abort.signal)
      setState((s) => afterLive(s, page.requestLogs, page.requestLogs, holding.current))
      pageToken = page.nextPageToken
      const oldest = page.requestLogs.at(-1)
      if (pageToken === '' || !oldest || oldest.id <= newestKnown) return
    }
  }, [workspace, filters])

  const hold = useCallback((held: boolean) => {
    holding.current = held
    if (!held) setState((s) => (s.held.length === 0 ? s : { ...s, rows: merge(s.rows, s.held), held: [] }))
  }, [])

  const loadMore = useCallback(() => {
    if (walk.current.next !== '') loadPage()
  }, [loadPage])
  return { ...state, loadMore, reload, add, catchUp, hold }
}

const list = (workspaceId: string, query: object, signal: AbortSignal): Promise<Page> =>
  ok(api.GET('/v1/workspaces/{workspaceId}/request-logs', { params: { path: { workspaceId }, query }, signal }))

function afterPage(s: LogsState, page: Page, first: boolean): LogsState {
  return {
    rows: first ? page.requestLogs : merge(s.rows, page.requestLogs),
    held: first ? [] : s.held,
    page,
    unreadable: first ? page.unreadableRanges : [...s.unreadable, ...page.unreadableRanges],
    loading: false,
    error: undefined,
    loadedAt: new Date(),
    // A page is short only if the search time was over.
    budgetEnded: page.nextPageToken !== '' && page.requestLogs.length < pageSize,
    outdated: false,
  }
}

// afterLive adds the rows that match, and removes those that have changed so that they do not match any more.
function afterLive(s: LogsState, matching: readonly RequestLog[], all: readonly RequestLog[], holding: boolean): LogsState {
  const gone = new Set(all.map((row) => row.id))
  for (const row of matching) gone.delete(row.id)
  const kept = gone.size === 0 ? s.rows : s.rows.filter((row) => !gone.has(row.id))
  const { rows, others } = update(kept, matching)
  if (holding) return { ...s, rows, held: merge(s.held, others) }
  return { ...s, rows: merge(rows, others), loadedAt: new Date() }
}

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
