// The keys that have rows, deleted ones too.
import { useEffect, useState } from 'preact/hooks'
import { api, ok } from '../api/client'
import { aborted } from '../api/error'
import type { LogKey } from '../api/types'

const pageSize = 1000
const maxKeys = 5_000 // more cannot be looked through in a list; the filter takes ids from links all the same

/** useLogKeys loads the keys that have rows, the one that was used last first; undefined until then. */
export function useLogKeys(workspace: string): readonly LogKey[] | undefined {
  const [keys, setKeys] = useState<LogKey[]>()
  useEffect(() => {
    const abort = new AbortController()
    load(workspace, abort.signal).then(setKeys, (error: unknown) => {
      if (!aborted(error)) console.warn('loading the keys of request logs:', error)
    })
    return () => abort.abort()
  }, [workspace])
  return keys
}

async function load(workspaceId: string, signal: AbortSignal): Promise<LogKey[]> {
  const keys: LogKey[] = []
  let pageToken = ''
  do {
    const page = await ok(api.GET('/v1/workspaces/{workspaceId}/request-logs:keys', {
      params: { path: { workspaceId }, query: { pageSize, ...(pageToken && { pageToken }) } },
      signal,
    }))
    keys.push(...page.keys)
    pageToken = page.nextPageToken
  } while (pageToken !== '' && keys.length < maxKeys)
  return keys
}
