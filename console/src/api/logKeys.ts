// The keys that have rows in the request logs.
import { api, ok } from './client'
import type { LogKey } from './types'

const pageSize = 1000

/** loadLogKeys loads pages of keys until there are `enough`, or no more. The key that was used last is the first. */
export async function loadLogKeys(workspaceId: string, enough: number, signal: AbortSignal): Promise<LogKey[]> {
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
  } while (pageToken !== '' && keys.length < enough)
  return keys
}
