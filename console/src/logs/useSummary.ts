// Counts of calls, for the histogram and the number of matches.
import { useEffect, useState } from 'preact/hooks'
import { api, ok } from '../api/client'
import { aborted } from '../api/error'
import type { Summary, SummaryCount } from '../api/types'
import { filterParams, timeParams, type Filters, type TimeRange } from './filters'

const liveMs = 15_000 // between summaries while the page is live

/**
 * useSummary counts the calls of a range. `bucketSeconds` is the length of its buckets. It returns the summary before while
 * the next one loads, and undefined where there is none: the page does without it.
 */
export function useSummary(
  workspace: string,
  filters: Filters,
  range: TimeRange | undefined,
  bucketSeconds: number,
  live: boolean,
): Summary | undefined {
  const [summary, setSummary] = useState<Summary>()
  const key = range && `${range.last} ${range.from} ${range.to}`
  useEffect(() => {
    if (!range) return setSummary(undefined)
    const abort = new AbortController()
    const load = () => {
      const query = { ...filterParams(filters), ...timeParams(range, Date.now()), bucket: `${bucketSeconds}s` }
      ok(
        api.GET('/v1/workspaces/{workspaceId}/request-logs:summary', {
          params: { path: { workspaceId: workspace }, query },
          signal: abort.signal,
        }),
      ).then(setSummary, (error: unknown) => {
        if (aborted(error)) return
        console.warn('summarizing the request logs:', error)
        setSummary(undefined)
      })
    }
    load()
    const timer = live ? setInterval(load, liveMs) : undefined
    return () => {
      abort.abort()
      clearInterval(timer)
    }
  }, [workspace, filters, key, bucketSeconds, live])
  return summary
}

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
