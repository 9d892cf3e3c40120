// When keys were used last: as their newest row in the request logs has it.
import { useEffect, useState } from 'preact/hooks'
import { api, ok } from '../api/client'
import { aborted } from '../api/error'
import { seconds } from '../format'

const pageSize = 1000
const againMs = 60_000

export interface LastUse {
  /** Whether the request logs were read. */
  known: boolean
  /** When each key was used last. A key that is missing has no row. */
  times: ReadonlyMap<string, Date>
  /** How long rows are kept, in milliseconds. */
  retentionMs: number
}

/** useLastUse reads the last use of all keys, and every minute of those that were used meanwhile. */
export function useLastUse(workspace: string): LastUse {
  const [state, setState] = useState<LastUse>({ known: false, times: new Map(), retentionMs: 0 })
  useEffect(() => {
    const abort = new AbortController()
    const read = (allPages: boolean) =>
      Promise.all([load(workspace, abort.signal, allPages), retention(workspace, abort.signal)]).then(
        ([times, retentionMs]) => setState((s) => ({ known: true, times: new Map([...s.times, ...times]), retentionMs })),
        (error: unknown) => aborted(error) || console.warn('loading the last use of keys:', error),
      )
    void read(true)
    const timer = setInterval(() => document.hidden || void read(false), againMs)
    return () => {
      clearInterval(timer)
      abort.abort()
    }
  }, [workspace])
  return state
}

// load reads the keys that have rows, the one that was used last first: what changed in a minute is on the first page.
async function load(workspaceId: string, signal: AbortSignal, allPages: boolean): Promise<Map<string, Date>> {
  const times = new Map<string, Date>()
  let pageToken = ''
  do {
    const page = await ok(
      api.GET('/v1/workspaces/{workspaceId}/request-logs:keys', {
        params: { path: { workspaceId }, query: { pageSize, ...(pageToken && { pageToken }) } },
        signal,
      }),
    )
    for (const key of page.keys) times.set(key.keyId, new Date(key.lastUseTime))
    pageToken = page.nextPageToken
  } while (allPages && pageToken !== '')
  return times
}

async function retention(workspaceId: string, signal: AbortSignal): Promise<number> {
  const query = { pageSize: 1 }
  const page = await ok(
    api.GET('/v1/workspaces/{workspaceId}/request-logs', { params: { path: { workspaceId }, query }, signal }),
  )
  return seconds(page.retention) * 1000
}
