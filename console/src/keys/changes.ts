// The calls that change keys, and their errors in words.
import { api, ok } from '../api/client'
import { ApiError, asApiError } from '../api/error'
import { count } from '../format'
import type { Key, KeyInput, KeyPatch } from '../api/types'

const keyPath = '/v1/workspaces/{workspaceId}/keys/{keyId}'

const pathOf = (key: Key) => ({ workspaceId: key.workspaceId, keyId: key.id })

/** newRequestId makes a random UUID. `crypto.randomUUID` exists on https and localhost only. */
export function newRequestId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  bytes[6] = (bytes[6]! & 0x0f) | 0x40
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

export interface WithSecret {
  key: Key
  secret: string
}

/** createKey makes a key. Repeated with the same request id, it makes no second one. */
export const createKey = (workspaceId: string, body: KeyInput, requestId: string): Promise<WithSecret> =>
  ok(api.POST('/v1/workspaces/{workspaceId}/keys', { params: { path: { workspaceId }, query: { requestId } }, body }))

/** rotateKey gives a key a new secret. The earlier ones pass for `graceSeconds` more. */
export const rotateKey = (key: Key, graceSeconds: number, requestId: string): Promise<WithSecret> =>
  ok(api.POST(`${keyPath}:rotate`, { params: { path: pathOf(key) }, body: { gracePeriod: `${graceSeconds}s`, requestId } }))

export const readKey = (workspaceId: string, keyId: string): Promise<Key> =>
  ok(api.GET(keyPath, { params: { path: { workspaceId, keyId } } })).then((response) => response.key)

/** updateKey changes the fields of the mask, if the key has still the etag of `key`. It returns the key after the change. */
export function updateKey(key: Key, patch: KeyPatch, mask: readonly string[]): Promise<Key> {
  const request = api.PATCH(keyPath, {
    params: { path: pathOf(key), query: { updateMask: mask.join(',') } },
    body: { ...patch, etag: key.etag },
  })
  // A change that is stored and not in force yet must not be repeated: reading shows it.
  return ok(request).then(
    (response) => response.key,
    (error: unknown) => {
      if (reasonOf(error) !== 'CHANGE_NOT_IN_FORCE') throw error
      return readKey(key.workspaceId, key.id)
    },
  )
}

/** deleteKey deletes a key. One that is deleted already is no error. */
export async function deleteKey(key: Key): Promise<void> {
  try {
    await ok(api.DELETE(keyPath, { params: { path: pathOf(key) } }))
  } catch (error) {
    if (reasonOf(error) !== 'CHANGE_NOT_IN_FORCE' && reasonOf(error) !== 'KEY_NOT_FOUND') throw error
  }
}

/** reasonOf returns the reason of an error of the API; empty if it has none. */
export const reasonOf = (error: unknown): string => (error instanceof ApiError ? error.reason : '')

/** inWords says what went wrong with a change of a key, and what to do. */
export function inWords(thrown: unknown): string {
  const error = asApiError(thrown)
  switch (error.reason) {
    case 'KEY_QUOTA_EXCEEDED':
      return error.metadata.limit === 'keys'
        ? `The workspace has as many keys as it may have (${count(Number(error.metadata.value))}). Delete keys that are not used any more.`
        : 'The keys of the workspace would take more room than they may. Delete keys, or shorten their lists of agents and their metadata.'
    case 'CHANGE_NOT_IN_FORCE':
      return 'The old secrets were ended, but the change is not in force everywhere yet, and the new secret is lost. Rotate again.'
    case 'KEY_NOT_FOUND':
      return 'The key was deleted meanwhile.'
    case 'ETAG_MISMATCH':
      return 'The key was changed meanwhile. Look at it and try again.'
    case 'REQUEST_ID_USED':
      return 'The first try succeeded, but its response was lost, and with it the secret. Rotate the secret to get a new one.'
    case 'TOO_MANY_SECRETS':
      return 'The key has 10 secrets that still pass. Wait until one ends, or choose a shorter time for the old ones.'
    case 'ROLE_MISSING':
      return 'This token may not change keys.'
    default:
      return error.away ? `The service cannot be reached, or is not ready. Nothing is lost: try again.` : error.message
  }
}
