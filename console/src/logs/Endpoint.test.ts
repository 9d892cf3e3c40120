import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hiddenBefore, matchAt } from './Endpoint'

test('a match is found as the log service finds it', () => {
  assert.equal(matchAt('/v1/Agents/x', 'aGENTS'), 4)
  assert.equal(matchAt('/v1/É', 'é'), -1, 'only ASCII letters match either case')
  assert.equal(matchAt('/a%20b', '%'), 2)
  assert.equal(matchAt('/v1', ''), -1)
})

test('a match stays visible', () => {
  for (let at = 0; at < 90; at += 7) {
    const end = at + 10
    const hidden = hiddenBefore(100, at, end, 30)
    assert.ok(hidden <= at, `match at ${at}: its beginning is hidden`)
    assert.ok(end - hidden + (hidden > 0 ? 1 : 0) <= 30, `match at ${at}: its end is cut off`)
  }
  assert.equal(hiddenBefore(100, 5, 60, 30), 5, 'a match that is too long begins at the left')
  assert.equal(hiddenBefore(20, 12, 20, 30), 0, 'a short endpoint is shown whole')
})
