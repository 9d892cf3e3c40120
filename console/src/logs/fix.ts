// How to fix a denied call, and where the console does it.
import type { LogKey, RequestLog } from '../api/types'
import { href } from '../route'

export interface Fix {
  label: string
  address: string
}

/** fixesOf returns what an admin can do about a denied call; the first is the one that its code asks for. */
export function fixesOf(row: RequestLog, key: LogKey | undefined): Fix[] {
  const to = (label: string, query: Record<string, string>): Fix => ({ label, address: href(row.workspaceId, 'api-keys', query) })
  const create = to('Create a new key', { create: '1' })
  if (row.workspaceId === '_unattributed') return []
  if (row.errorCode === 'invalid_token') return [create]
  if (row.keyId === '') return []
  if (key?.exists === false) return [create]
  const edit = (label: string, field: string) => to(label, { key: row.keyId, edit: field })
  switch (row.errorCode) {
    case 'scope_denied':
      return [edit(`Edit scopes of ${row.keyName}`, 'scopes')]
    case 'agent_denied':
      return row.cause === 'other_workspace' ? [] : [edit(`Edit agent access of ${row.keyName}`, 'agents')]
    case 'disabled':
      return [to(`Enable ${row.keyName}`, { enable: row.keyId })]
    case 'expired':
      if (row.cause === 'secret_rotated') return [to(`Show ${row.keyName}`, { key: row.keyId })]
      return [create, edit(`Change the expiry of ${row.keyName}`, 'expiry')]
    default:
      return []
  }
}
