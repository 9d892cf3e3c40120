import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Key } from '../api/types'
import { filtersOf, justExpired, matching, oldSecretEnd, stateOf } from './keyState'

const now = Date.parse('2026-11-24T12:00:00Z')
const day = 86_400_000
const at = (days: number) => new Date(now + days * day).toISOString()
const key = (change: Partial<Key> = {}): Key => ({
  id: '1',
  workspaceId: 'acme',
  name: 'Billing',
  description: '',
  externalId: 'cust_1',
  metadata: {},
  scopes: ['agent'],
  allAgents: true,
  agentIds: [],
  disabled: false,
  last4: 'a1b2',
  createTime: at(-1),
  updateTime: at(-1),
  secrets: [{ last4: 'a1b2', createTime: at(-1) }],
  etag: '',
  ...change,
})

test('the state of a key', () => {
  const state = (change: Partial<Key>) => stateOf(key(change), now)
  assert.equal(state({}), 'enabled')
  assert.equal(state({ expireTime: at(14.1) }), 'enabled')
  assert.equal(state({ expireTime: at(14) }), 'soon')
  assert.equal(state({ expireTime: at(0) }), 'expired', 'from this time on')
  assert.equal(state({ expireTime: at(-1), disabled: true }), 'disabled')
})

test('only keys that are not disabled have just expired', () => {
  assert.equal(justExpired(key({ expireTime: at(-6) }), now), true)
  assert.equal(justExpired(key({ expireTime: at(-8) }), now), false)
  assert.equal(justExpired(key({ expireTime: at(-6), disabled: true }), now), false)
  assert.equal(justExpired(key({ expireTime: at(6) }), now), false)
})

test('the last of the earlier secrets that still pass', () => {
  const secret = (days?: number) => ({ last4: 'x', createTime: at(-2), ...(days !== undefined && { expireTime: at(days) }) })
  assert.equal(oldSecretEnd(key({ secrets: [secret()] }), now), undefined)
  assert.equal(oldSecretEnd(key({ secrets: [secret(), secret(-1)] }), now), undefined)
  assert.equal(oldSecretEnd(key({ expireTime: at(9) }), now), undefined, 'the present one')
  assert.deepEqual(oldSecretEnd(key({ secrets: [secret(), secret(2), secret(1)] }), now), new Date(now + 2 * day))
})

test('keys are found by name and last 4, as by the API', () => {
  const keys = [key(), key({ id: '2', name: 'Éxport', externalId: 'cust_2', secrets: [secretOf('Zz8p'), secretOf('q9Zt')] })]
  const find = (query: string) => matching(keys, filtersOf(new URLSearchParams(query)), now).map((k) => k.id)
  assert.deepEqual(find(''), ['1', '2'])
  assert.deepEqual(find('q=bill'), ['1'])
  assert.deepEqual(find('q=éx'), ['2'])
  assert.deepEqual(find('q=Q9ZT'), ['2'], 'an earlier secret, in another case')
  assert.deepEqual(find('q=q9'), [], 'not a part of the last 4')
  assert.deepEqual(find('owner=cust_2'), ['2'])
  assert.deepEqual(find('owner=cust'), [])
})

test('keys are found by state', () => {
  const keys = [
    key({ id: 'on' }),
    key({ id: 'soon', expireTime: at(3) }),
    key({ id: 'old', expireTime: at(-30) }),
    key({ id: 'just', expireTime: at(-1) }),
    key({ id: 'off', disabled: true, expireTime: at(-1) }),
  ]
  const find = (state: string) => matching(keys, filtersOf(new URLSearchParams({ state })), now).map((k) => k.id)
  assert.deepEqual(find('enabled'), ['on', 'soon'])
  assert.deepEqual(find('soon'), ['soon'])
  assert.deepEqual(find('attention'), ['soon', 'just'])
  assert.deepEqual(find('expired'), ['old', 'just'])
  assert.deepEqual(find('disabled'), ['off'])
  assert.equal(find('unknown').length, keys.length)
})

function secretOf(last4: string) {
  return { last4, createTime: at(-1) }
}
