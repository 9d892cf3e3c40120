import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chartWindow } from './chartWindow'

const hour = 3_600_000
const day = 24 * hour
const now = Date.UTC(2026, 10, 24, 14, 30)

test('buckets begin at multiples of their length, and are not too many', () => {
  for (const last of [day, 3 * day, 7 * day, 29 * day, 30 * day]) {
    const { start, end, bucket, selected } = chartWindow({ last, from: 0, to: 0 }, 30 * day, now)
    assert.equal(start % bucket, 0)
    assert.ok(start <= now - last && now - last < start + bucket)
    assert.equal(end, now)
    assert.ok((end - start) / bucket <= 97, `${last / day} days: ${(end - start) / bucket} buckets`)
    assert.equal(selected, undefined)
  }
})

test('a short range is shown within a day', () => {
  const { start, end, selected, range } = chartWindow({ last: hour, from: 0, to: 0 }, 30 * day, now)
  assert.deepEqual(selected, { from: now - hour, to: now })
  assert.ok(end - start >= day && end <= now)
  assert.deepEqual(range, { last: 0, from: start, to: 0 })

  const from = now - 10 * day
  const past = chartWindow({ last: 0, from, to: from + 2 * hour }, 30 * day, now)
  assert.ok(past.start < from && past.end > from + 2 * hour)
})

test('nothing is older than the retention', () => {
  const { start, end, bucket } = chartWindow({ last: 0, from: now - 90 * day, to: 0 }, hour, now)
  assert.ok(now - hour - start < bucket && end === now)
})
