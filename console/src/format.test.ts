import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ago, dayHeading, latency, localExact, span, utcExact } from './format'

test('latencies have the unit that people say', () => {
  const written = [undefined, 0, 4.13, 9.96, 182.4, 999.6, 1240, 9_996, 59_960].map(latency)
  assert.deepEqual(written, ['–', '< 0.1 ms', '4.1 ms', '10 ms', '182 ms', '1.00 s', '1.24 s', '10.0 s', '1 min'])
})

test('lengths of time', () => {
  const written = [5_000, 125_000, 58 * 60_000, 21 * 3_600_000, 6 * 86_400_000].map(span)
  assert.deepEqual(written, ['5 s', '2 min 5 s', '58 min', '21 h', '6 days'])
})

test('times', () => {
  const now = Date.UTC(2026, 10, 24, 14, 5)
  const time = new Date(Date.UTC(2026, 10, 24, 14, 2, 11, 204))
  assert.equal(ago(time, now), '2 minutes ago')
  assert.equal(ago(new Date(now + 6.5 * 86_400_000), now), 'in 6 days')
  assert.equal(localExact(time), '24 Nov 2026, 14:02:11.204')
  assert.equal(utcExact(time), '2026-11-24 14:02:11.204 UTC')
  assert.equal(dayHeading(time, now), 'Today, 24 November')
  assert.equal(dayHeading(new Date(Date.UTC(2026, 10, 23)), now), 'Yesterday, 23 November')
  assert.equal(dayHeading(new Date(Date.UTC(2025, 10, 23)), now), '23 November 2025')
})
