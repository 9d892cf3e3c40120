// The key that the address names.
import { useEffect, useState } from 'preact/hooks'
import { asApiError, type ApiError } from '../api/error'
import type { Key } from '../api/types'
import { readKey } from './changes'
import type { Keys } from './useKeys'

export interface LinkedKey {
  key: Key | undefined
  /** Why the key cannot be shown. */
  error: ApiError | undefined
}

/** useLinkedKey returns the key with an id, and reads it if it is not among those that are loaded. */
export function useLinkedKey(workspace: string, id: string, all: Keys): LinkedKey {
  const [failed, setFailed] = useState<{ id: string; error: ApiError }>()
  const key = id === '' ? undefined : all.keys.find((k) => k.id === id)
  const missing = id !== '' && !key
  useEffect(() => {
    if (!missing) return
    let wanted = true
    readKey(workspace, id).then(
      (found) => wanted && all.put(found),
      (error: unknown) => wanted && setFailed({ id, error: asApiError(error) }),
    )
    return () => void (wanted = false)
  }, [workspace, id, missing])
  return { key, error: missing && failed?.id === id ? failed.error : undefined }
}
