// Hono on the fetch API alone, as on other runtimes than Node.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'

import { honoApp } from './frameworks.js'
import { gateOf } from './gate.js'
import { Service, workspaceId } from './service.js'

const service = await Service.start()
const secret = await service.secret()
const middleware = service.checker.middleware({ workspaceId })
const app = honoApp(middleware)
after(async () => {
  await middleware.close()
  await service.stop()
})

const call = (id: string, action: string, init: RequestInit = {}) =>
  app.request(`http://backend/v1/agents/${id}/${action}`, { headers: { 'api-key': secret }, ...init })

describe('Hono on the fetch API', { concurrency: true }, () => {
  for (const [action, status] of Object.entries({ ok: 200, fail: 500, throw: 500, unchanged: 304 })) {
    test(`the status of the handler: ${action}`, async () => {
      const response = await call(`fetch-${action}`, action)
      assert.equal(response.status, status)
      if (action === 'ok') assert.equal(response.headers.get('content-type'), 'application/json')
      await response.text()
      assert.equal((await service.row(`fetch-${action}`)).status, status)
    })
  }

  test('HEAD, whose body is not read', async () => {
    const response = await call('fetch-head', 'ok', { method: 'HEAD', headers: { 'api-key': secret } })
    assert.equal(response.status, 200)
    assert.equal((await service.row('fetch-head')).status, 200)
  })

  test('a denied call', async () => {
    const response = await call('fetch-denied', 'ok', { headers: {} })
    assert.equal(response.status, 401)
    assert.equal(((await response.json()) as { error: { code: string } }).error.code, 'missing_token')
    assert.equal((await service.row('fetch-denied')).errorCode, 'missing_token')
  })

  test('a response that is streamed lasts until its end', async () => {
    const response = await call('fetch-stream', 'stream')
    const body = response.text()
    await gateOf('fetch-stream').entered
    const heldMs = await service.inProgress('fetch-stream')
    gateOf('fetch-stream').release()
    assert.equal(await body, 'first ')
    const row = await service.row('fetch-stream')
    assert.equal(row.status, 200)
    assert.ok(row.latencyMs! >= heldMs)
  })

  test('a caller that reads no further had its status', async () => {
    const response = await call('fetch-cut', 'stream')
    await response.body!.cancel()
    assert.equal((await service.row('fetch-cut')).status, 200)
    gateOf('fetch-cut').release()
  })

  test('a caller that goes away', async () => {
    const caller = new AbortController()
    const response = call('fetch-gone', 'hold', { signal: caller.signal })
    await gateOf('fetch-gone').entered
    caller.abort()
    assert.equal((await service.row('fetch-gone')).status, 499)
    gateOf('fetch-gone').release()
    await response
  })
})
