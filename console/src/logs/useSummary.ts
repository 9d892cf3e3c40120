// Counts of calls, for the histogram and the number of matches.
import { useEffect, useState } from 'preact/hooks'
import { api, ok } from '../api/client'
import { aborted, asApiError, type ApiError } from '../api/error'
import type { Summary, SummaryCount } from '../api/types'
import { filterParams, timeParams, type Filters, type TimeRange } from './filters'

const liveMs = 15_000 // between summaries while the page is live
const againMs = 10_000 // until a summary that failed is loaded again, if it may succeed then

export interface Counts {
  /** Undefined until it is loaded, and where there is none. */
  summary: Summary | undefined
  error: ApiError | undefined
  retry: () => void
}

/**
 * useSummary counts the calls of a range. `bucketSeconds` is the length of its buckets. It returns the summary before while
 * the next one loads. While the service is away it tries again by itself.
 */
export function useSummary(
  workspace: string,
  filters: Filters,
  range: TimeRange | undefined,
  bucketSeconds: number,
  live: boolean,
): Counts {
  const [state, setState] = useState<{ summary?: Summary | undefined; error?: ApiError }>({})
  const [attempt, setAttempt] = useState(0)
  const key = range && `${range.last} ${range.from} ${range.to}`
  useEffect(() => {
    if (!range) return setState({})
    const abort = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    let summary: Summary | undefined
    const load = () => {
      const query = { ...filterParams(filters), ...timeParams(range, Date.now()), bucket: `${bucketSeconds}s` }
      summarize(workspace, query, abort.signal).then(
        (loaded) => {
          summary = loaded
          setState({ summary })
          if (live) timer = setTimeout(load, liveMs)
        },
        (reason: unknown) => {
          if (aborted(reason)) return
          const error = asApiError(reason)
          setState({ summary, error })
          if (live || error.away) timer = setTimeout(load, againMs)
        },
      )
    }
    load()
    return () => {
      abort.abort()
      clearTimeout(timer)
    }
  }, [workspace, filters, key, bucketSeconds, live, attempt])
  return { summary: state.summary, error: state.error, retry: () => setAttempt((n) => n + 1) }
}

const summarize = (workspaceId: string, query: object, signal: AbortSignal): Promise<Summary> =>
  ok(api.GET('/v1/workspaces/{workspaceId}/request-logs:summary', { params: { path: { workspaceId }, query }, signal }))

export interface ClassCounts {
  success: number
  clientError: number
  serverError: number
  /** In progress, and statuses of no other class. */
  other: number
}

/** byClass adds up counts by class. */
export function byClass(counts: readonly SummaryCount[]): ClassCounts {
  const sums: ClassCounts = { success: 0, clientError: 0, serverError: 0, other: 0 }
  for (const { statusClass, callCount } of counts) {
    const n = Number(callCount)
    if (statusClass === '2xx') sums.success += n
    else if (statusClass === '4xx') sums.clientError += n
    else if (statusClass === '5xx') sums.serverError += n
    else sums.other += n
  }
  return sums
}

/** total is the number of calls of a summary. */
export const total = (summary: Summary): number =>
  (summary.total?.counts ?? []).reduce((sum, { callCount }) => sum + Number(callCount), 0)
