import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RequestLog } from '../api/types'
import { merge, update, withDays } from './rows'

const row = (id: string, change: Partial<RequestLog> = {}): RequestLog => ({
  id,
  time: '2026-11-24T12:00:00Z',
  workspaceId: 'acme',
  keyId: '',
  keyName: '',
  keyLast4: '',
  externalId: '',
  agentType: '',
  agentId: '',
  method: 'GET',
  endpoint: '/',
  status: 0,
  errorCode: '',
  cause: '',
  callCount: 1,
  ...change,
})
const ids = (rows: readonly RequestLog[]) => rows.map((r) => r.id).join('')

test('rows are merged by id, newest first, each once', () => {
  assert.equal(ids(merge([row('d'), row('b')], [row('a')])), 'dba', 'the next page')
  assert.equal(ids(merge([row('d'), row('b')], [row('e'), row('c'), row('b')])), 'edcb')
  assert.equal(ids(merge([], [row('a'), row('b')])), 'ba')
})

test('a reported row is not replaced by an earlier state', () => {
  const reported = row('a', { status: 200, latencyMs: 0 })
  assert.equal(merge([row('a')], [reported])[0]?.status, 200)
  assert.equal(merge([reported], [row('a')])[0]?.status, 200)
  assert.equal(merge([row('a', { status: 403 })], [row('a')])[0]?.status, 403)
})

test('an update says which rows are new', () => {
  const { rows, others } = update([row('b'), row('a')], [row('a', { status: 200, latencyMs: 1 }), row('c')])
  assert.equal(ids(rows), 'ba')
  assert.equal(rows[1]?.status, 200)
  assert.equal(ids(others), 'c')
})

test('each day has one heading', () => {
  const items = withDays([row('c'), row('b', { time: '2026-11-24T00:00:00Z' }), row('a', { time: '2026-11-23T23:59:59Z' })])
  assert.deepEqual(
    items.map((item) => item.kind),
    ['day', 'row', 'row', 'day', 'row'],
  )
})
