import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LogKey, RequestLog } from '../api/types'
import { fixesOf } from './fix'

const row = (errorCode: string, cause = '', keyId = 'K') =>
  ({ workspaceId: 'acme', keyId, keyName: 'Mobile app', errorCode, cause }) as RequestLog
const addresses = (r: RequestLog, key?: Partial<LogKey>) =>
  fixesOf(r, key as LogKey | undefined).map((fix) => fix.address.replace('/workspaces/acme/api-keys?', ''))

test('each code leads to its fix', () => {
  assert.deepEqual(addresses(row('scope_denied')), ['key=K&edit=scopes'])
  assert.deepEqual(addresses(row('agent_denied')), ['key=K&edit=agents'])
  assert.deepEqual(addresses(row('agent_denied', 'other_workspace')), [])
  assert.deepEqual(addresses(row('disabled')), ['enable=K'])
  assert.deepEqual(addresses(row('expired')), ['create=1', 'key=K&edit=expiry'])
  assert.deepEqual(addresses(row('expired', 'secret_rotated')), ['key=K'])
  assert.deepEqual(addresses(row('invalid_token', '', '')), ['create=1'])
  assert.deepEqual(addresses(row('missing_token', '', '')), [])
  assert.deepEqual(addresses(row('a_later_code')), [])
})

test('a deleted key is not edited', () => {
  assert.deepEqual(addresses(row('disabled'), { exists: false }), ['create=1'])
})
