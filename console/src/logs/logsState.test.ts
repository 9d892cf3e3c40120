import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RequestLog } from '../api/types'
import { afterHold, afterLive, afterPage, afterRefresh, mostLive, nothing, pageSize, type Page } from './logsState'

const row = (id: string, status = 0) => ({ id, status, time: '2026-11-24T12:00:00Z' }) as RequestLog
const page = (rows: RequestLog[], nextPageToken = '') =>
  ({ requestLogs: rows, nextPageToken, unreadableRanges: [] }) as unknown as Page
const ids = (rows: readonly RequestLog[]) => rows.map((r) => r.id).join('')
const all = () => true

test('new rows are held back while the user reads further down', () => {
  const read = afterPage(nothing, page([row('b'), row('a')]), true)
  const held = afterLive(read, [row('c'), row('a', 200)], all, true)
  assert.equal(ids(held.rows), 'ba', 'no row is pushed')
  assert.equal(held.rows[1]?.status, 200, 'a row that is seen changes')
  assert.equal(ids(held.held), 'c')
  const shown = afterHold(held)
  assert.equal(ids(shown.rows), 'cba')
  assert.equal(ids(shown.held), '')
})

test('a row that does not match any more is taken away', () => {
  const before = afterPage(nothing, page([row('b'), row('a')]), true)
  assert.equal(ids(afterLive(before, [row('a', 200)], (r) => r.status === 0, false).rows), 'b')
  const held = afterLive(before, [row('c')], all, true)
  assert.equal(ids(afterLive(held, [row('c', 200)], (r) => r.status === 0, true).held), '', 'also one that is held back')
})

test('a refresh changes the rows that are there, and adds none', () => {
  const before = afterPage(nothing, page([row('c'), row('a')]), true)
  const loaded = [row('c', 200), row('b', 200)]
  const after = afterRefresh(before, loaded, all)
  assert.equal(ids(after.rows), 'ca')
  assert.equal(after.rows[0]?.status, 200)
  assert.equal(ids(afterRefresh(before, loaded, (r) => r.status === 0).rows), 'a')
})

test('a short page with a token says that the search time was over', () => {
  assert.equal(afterPage(nothing, page([row('a')], 'next'), true).budgetEnded, true)
  assert.equal(afterPage(nothing, page([row('a')]), true).budgetEnded, false)
  const full = Array.from({ length: pageSize }, (_, i) => row(`r${i}`))
  assert.equal(afterPage(nothing, page(full, 'next'), true).budgetEnded, false)
})

test('not more rows are held than a tab can keep', () => {
  const many = Array.from({ length: mostLive + 5 }, (_, i) => row(String(i).padStart(6, '0')))
  const { held } = afterLive(nothing, many, all, true)
  assert.equal(held.length, mostLive)
  assert.equal(held[0]?.id, many.at(-1)?.id, 'the newest stay')
})
