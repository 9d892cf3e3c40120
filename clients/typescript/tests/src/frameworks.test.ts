// Every framework serves and refuses calls, and each call has exactly one row, with what its caller got.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { get } from 'node:http'
import { after, describe, test } from 'node:test'

import type { Middleware } from '@keytrail/client'

import { frameworks, type Backend } from './frameworks.js'
import { gateOf } from './gate.js'
import { Service, workspaceId } from './service.js'

const service = await Service.start()
const secret = await service.secret({ name: 'Frontend', externalId: 'customer-1', metadata: { plan: 'größer' } })
const rotated = (await service.admin.keys.create(workspaceId, { name: 'rotated', scopes: ['agent'], allAgents: true })).key
const denials: Record<string, { status: number; header?: string }> = {
  missing_token: { status: 401 },
  invalid_token: { status: 401, header: 'sk_none' },
  disabled: { status: 401, header: await service.secret({ disabled: true }) },
  expired: { status: 401, header: await rotatedSecret() },
  scope_denied: { status: 403, header: await service.secret({ scopes: ['data_agent'] }) },
  agent_denied: { status: 403, header: await service.secret({ agentIds: ['another'] }) },
}
after(() => service.stop())

/** rotatedSecret returns a secret that was replaced, and has no time left. */
async function rotatedSecret(): Promise<string> {
  const { secret: old } = await service.admin.keys.rotate(workspaceId, rotated.id)
  await service.admin.keys.rotate(workspaceId, rotated.id, { gracePeriod: '0s' })
  return old
}

// A row takes a second, so all tests run together.
describe('every framework', { concurrency: true }, () => {
  for (const [name, start] of Object.entries(frameworks)) {
    describe(name, { concurrency: true }, async () => {
      const middleware: Middleware = service.checker.middleware({ workspaceId })
      const backend: Backend = await start(middleware)
      after(async () => {
        await middleware.close()
        await backend.close()
        const { allowed, denied, unknownPath, refused, unchecked, reportsSent } = middleware.stats
        assert.deepEqual([allowed, denied, refused, unchecked, reportsSent], [9, 6, 0, 0, 15])
        assert.equal(unknownPath, name === 'hono' ? 3 : 5)
      })
      const call = (agentId: string, action: string, init: RequestInit = {}) =>
        fetch(`${backend.url}/v1/agents/${agentId}/${action}`, { headers: { 'api-key': secret }, ...init })

      test('an allowed call knows its caller', async () => {
        const id = `${name}-allowed`
        const response = await call(id, 'ok?key=secret')
        const row = await service.row(id)
        assert.equal(response.status, 200)
        const { caller } = (await response.json()) as { caller: Record<string, unknown> }
        assert.equal(caller.keyName, 'Frontend')
        assert.equal(caller.externalId, 'customer-1')
        assert.deepEqual(caller.metadata, { plan: 'größer' })
        assert.equal(caller.requestLogId, row.id)
        assert.deepEqual([row.status, row.errorCode, row.method, row.endpoint], [200, '', 'GET', `/v1/agents/${id}/ok`])
      })

      test('a bearer token may be the secret, and the body of a request is kept', async () => {
        const id = `${name}-bearer`
        const headers = { authorization: `Bearer ${secret}`, 'content-type': 'text/plain' }
        const response = await call(id, 'echo', { method: 'POST', headers, body: 'hello' })
        assert.equal(((await response.json()) as { body: string }).body, 'hello')
        assert.deepEqual([(await service.row(id)).status, (await service.row(id)).method], [200, 'POST'])
      })

      for (const [code, { status, header }] of Object.entries(denials)) {
        test(`a denied call: ${code}`, async () => {
          const id = `${name}-${code}`
          const response = await call(id, 'ok', { headers: header ? { 'api-key': header } : {} })
          assert.equal(response.status, status)
          assert.equal(response.headers.get('www-authenticate'), status === 401 ? 'ApiKey realm="api", header="api-key"' : null)
          assert.match(response.headers.get('content-type')!, /^application\/json/)
          const { error } = (await response.json()) as { error: Record<string, string> }
          assert.equal(error.code, code)
          assert.ok(error.message && error.fix)
          const row = await service.row(id)
          assert.deepEqual([row.status, row.errorCode], [status, code])
        })
      }

      for (const [action, status] of Object.entries({ fail: 500, throw: 500, unchanged: 304 })) {
        test(`the status of the handler: ${action}`, async () => {
          const id = `${name}-${action}`
          assert.equal((await call(id, action)).status, status)
          assert.equal((await service.row(id)).status, status)
        })
      }

      test('the latency of a slow call', async () => {
        const id = `${name}-slow`
        const response = call(id, 'hold')
        await gateOf(id).entered
        const heldMs = await service.inProgress(id)
        gateOf(id).release()
        assert.equal((await response).status, 200)
        assert.ok((await service.row(id)).latencyMs! >= heldMs)
      })

      test('a caller that goes away', async () => {
        const id = `${name}-gone`
        const caller = new AbortController()
        const response = call(id, 'hold', { signal: caller.signal })
        await gateOf(id).entered
        caller.abort()
        await assert.rejects(response)
        assert.equal((await service.row(id)).status, 499)
        gateOf(id).release()
      })

      test('a response that is streamed lasts until its end', async () => {
        const id = `${name}-stream`
        const response = await call(id, 'stream')
        const reader = response.body!.getReader()
        assert.equal(new TextDecoder().decode((await reader.read()).value), 'first ')
        const heldMs = await service.inProgress(id)
        gateOf(id).release()
        while (!(await reader.read()).done);
        const row = await service.row(id)
        assert.equal(row.status, 200)
        assert.ok(row.latencyMs! >= heldMs)
      })

      test('a caller that goes away while a response is streamed had its status', async () => {
        const id = `${name}-cut`
        const caller = new AbortController()
        const response = await call(id, 'stream', { signal: caller.signal })
        await gateOf(id).entered
        caller.abort()
        await assert.rejects(response.text())
        assert.equal((await service.row(id)).status, 200)
        gateOf(id).release()
      })

      test('paths without an agent of a known type are refused, and have no row', async () => {
        // The Request of fetch, which Hono's router reads, has resolved dots before.
        const dots = name === 'hono' ? [] : ['/v1/agents/a/../b', '/v1/agents/a/%2e%2e/b']
        for (const path of ['/v1/agents', `/v1/agents/a//${name}`, '/v1/agents/a%2Fb', ...dots]) {
          // fetch would remove the dots.
          const request = get(backend.url, { path, headers: { 'api-key': secret } })
          const [response] = await once(request, 'response')
          response.resume()
          assert.equal(response.statusCode, 403, path)
        }
      })
    })
  }
})
