// The keys of a workspace. All are loaded, in the background: only so are the owners, the numbers and the keys that expire soon
// known, and a search needs no request. A workspace has 10,000 keys at most (docs/limits.md), which are 10 requests.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { api, ok } from '../api/client'
import { aborted, asApiError, type ApiError } from '../api/error'
import type { Key } from '../api/types'

const firstPage = 100 // so that the first rows come soon
const pageSize = 1000 // the most that the API returns
const againMs = 10_000 // until a load that failed is tried again, if it may succeed then
const currentMs = 30_000 // keys that were loaded within this time are not loaded again when the user comes back

export interface Keys {
  /** Newest first, as far as they are loaded. */
  keys: readonly Key[]
  /** Whether all keys are loaded. */
  complete: boolean
  error: ApiError | undefined
  /** When the keys that are shown were loaded. */
  since: Date | undefined
  reload: () => void
  /** Takes over a key that was made or changed. */
  put: (key: Key) => void
  remove: (id: string) => void
}

interface State {
  keys: readonly Key[]
  complete: boolean
  error?: ApiError | undefined
  since?: Date | undefined
}

export function useKeys(workspace: string): Keys {
  const [state, setState] = useState<State>({ keys: [], complete: false })
  const [attempt, setAttempt] = useState(0)
  const begun = useRef(0)
  useEffect(() => {
    begun.current = Date.now()
    const abort = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const before = new Set(state.keys.map((key) => key.id))
    load(workspace, abort.signal, (page, complete) =>
      setState((s) => ({ keys: merge(s.keys, page), complete: s.complete || complete, since: new Date() })),
    ).then(
      (ids) => setState((s) => ({ ...s, keys: s.keys.filter((key) => ids.has(key.id) || !before.has(key.id)) })),
      (reason: unknown) => {
        if (aborted(reason)) return
        const error = asApiError(reason)
        setState((s) => ({ ...s, error }))
        if (error.away) timer = setTimeout(() => setAttempt((n) => n + 1), againMs)
      },
    )
    return () => {
      abort.abort()
      clearTimeout(timer)
    }
  }, [workspace, attempt])
  // Others change keys meanwhile.
  useEffect(() => {
    const onShown = () => {
      if (!document.hidden && Date.now() - begun.current > currentMs) setAttempt((n) => n + 1)
    }
    document.addEventListener('visibilitychange', onShown)
    addEventListener('focus', onShown)
    return () => {
      document.removeEventListener('visibilitychange', onShown)
      removeEventListener('focus', onShown)
    }
  }, [])
  const changes = useMemo(
    () => ({
      reload: () => {
        setState((s) => ({ ...s, error: undefined }))
        setAttempt((n) => n + 1)
      },
      put: (key: Key) => setState((s) => ({ ...s, keys: merge(s.keys, [key]) })),
      remove: (id: string) => setState((s) => ({ ...s, keys: s.keys.filter((key) => key.id !== id) })),
    }),
    [],
  )
  return { ...changes, keys: state.keys, complete: state.complete, error: state.error, since: state.since }
}

// load reads all pages and returns the ids of all keys.
async function load(
  workspaceId: string,
  signal: AbortSignal,
  onPage: (page: Key[], last: boolean) => void,
): Promise<Set<string>> {
  const ids = new Set<string>()
  let pageToken = ''
  do {
    const page = await ok(
      api.GET('/v1/workspaces/{workspaceId}/keys', {
        params: {
          path: { workspaceId },
          query: pageToken ? { pageSize, pageToken } : { pageSize: firstPage },
        },
        signal,
      }),
    )
    for (const key of page.keys) ids.add(key.id)
    pageToken = page.nextPageToken
    onPage(page.keys, pageToken === '')
  } while (pageToken !== '')
  return ids
}

// merge replaces the keys that are known, unless by an older state, and adds the others in the order of their creation.
function merge(keys: readonly Key[], more: readonly Key[]): Key[] {
  const byId = new Map(keys.map((key) => [key.id, key]))
  for (const key of more) {
    const known = byId.get(key.id)
    if (!known || Date.parse(known.updateTime) <= Date.parse(key.updateTime)) byId.set(key.id, key)
  }
  return [...byId.values()].sort((a, b) => Date.parse(b.createTime) - Date.parse(a.createTime))
}
