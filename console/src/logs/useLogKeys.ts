// The keys that have rows, deleted ones too.
import { api, ok } from '../api/client'
import type { LogKey } from '../api/types'
import { useLoad } from '../api/useLoad'

const pageSize = 1000
const maxKeys = 5_000 // more cannot be looked through in a list; the filter takes ids from links all the same

/** useLogKeys loads the keys that have rows, the one that was used last first; undefined until then. */
export function useLogKeys(workspace: string): readonly LogKey[] | undefined {
  return useLoad((signal) => load(workspace, signal), [workspace]).value
}

async function load(workspaceId: string, signal: AbortSignal): Promise<LogKey[]> {
  const keys: LogKey[] = []
  let pageToken = ''
  do {
    const page = await ok(
      api.GET('/v1/workspaces/{workspaceId}/request-logs:keys', {
        params: { path: { workspaceId }, query: { pageSize, ...(pageToken && { pageToken }) } },
        signal,
      }),
    )
    keys.push(...page.keys)
    pageToken = page.nextPageToken
  } while (pageToken !== '' && keys.length < maxKeys)
  return keys
}
