// The keys that have rows, deleted ones too.
import { useMemo } from 'preact/hooks'
import { api, ok } from '../api/client'
import { loadLogKeys } from '../api/logKeys'
import type { LogKey } from '../api/types'
import { useLoad } from '../api/useLoad'

const maxKeys = 5_000 // more cannot be looked through in a list; the filter takes ids from links all the same

/**
 * useLogKeys loads the keys that have rows, the one that was used last first; undefined until then. The key with the id `wanted`
 * is among them before its first call, too.
 */
export function useLogKeys(workspace: string, wanted: string): readonly LogKey[] | undefined {
  const used = useLoad((signal) => loadLogKeys(workspace, maxKeys, signal), [workspace]).value
  const unused = used && used.every((key) => key.keyId !== wanted) ? wanted : ''
  const loadAdded = (signal: AbortSignal) => (unused ? loadUnused(workspace, unused, signal) : Promise.resolve(undefined))
  const added = useLoad(loadAdded, [workspace, unused]).value
  return useMemo(() => (used && added ? [added, ...used] : used), [used, added])
}

async function loadUnused(workspaceId: string, keyId: string, signal: AbortSignal): Promise<LogKey> {
  const request = api.GET('/v1/workspaces/{workspaceId}/keys/{keyId}', { params: { path: { workspaceId, keyId } }, signal })
  const { key } = await ok(request)
  return { keyId, keyName: key.name, keyLast4: key.last4, exists: true, counts: [], firstUseTime: '', lastUseTime: '' }
}
