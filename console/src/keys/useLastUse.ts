// When keys were used last: as their newest row in the request logs has it.
import { useEffect, useState } from 'preact/hooks'
import { api, ok } from '../api/client'
import { aborted } from '../api/error'
import { loadLogKeys } from '../api/logKeys'
import { seconds } from '../format'

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
    const read = (enough: number) =>
      Promise.all([load(workspace, enough, abort.signal), retention(workspace, abort.signal)]).then(
        ([times, retentionMs]) => setState((s) => ({ known: true, times: new Map([...s.times, ...times]), retentionMs })),
        (error: unknown) => aborted(error) || console.warn('loading the last use of keys:', error),
      )
    void read(Infinity)
    // What changed in a minute is on the first page.
    const timer = setInterval(() => document.hidden || void read(1), againMs)
    return () => {
      clearInterval(timer)
      abort.abort()
    }
  }, [workspace])
  return state
}

async function load(workspaceId: string, enough: number, signal: AbortSignal): Promise<Map<string, Date>> {
  const keys = await loadLogKeys(workspaceId, enough, signal)
  return new Map(keys.map((key) => [key.keyId, new Date(key.lastUseTime)]))
}

async function retention(workspaceId: string, signal: AbortSignal): Promise<number> {
  const query = { pageSize: 1 }
  const page = await ok(
    api.GET('/v1/workspaces/{workspaceId}/request-logs', { params: { path: { workspaceId }, query }, signal }),
  )
  return seconds(page.retention) * 1000
}
