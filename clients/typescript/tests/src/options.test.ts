// The options of the middleware.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, describe, test } from 'node:test'

import type { MiddlewareOptions } from '@keytrail/client'
import express from 'express'

import { listen } from './frameworks.js'
import { Service, workspaceId } from './service.js'

const service = await Service.start()
const secret = await service.secret()
after(() => service.stop())

/** backend starts an Express backend that allows rewriting a path before the middleware. */
async function backend(
  t: { after(stop: () => Promise<void>): void },
  options: MiddlewareOptions,
  rewrite = (url: string) => url,
) {
  const middleware = service.checker.middleware({ workspaceId, ...options })
  const app = express()
  app.set('env', 'test') // no log of errors
  app.use((req, _res, next) => {
    req.url = rewrite(req.url)
    next()
  })
  app.use('/v1', middleware.express, (_req, res) => void res.send('served'))
  const { url, close } = await listen(createServer(app))
  t.after(async () => {
    await middleware.close()
    await close()
  })
  return (path: string, headers: Record<string, string> = { 'api-key': secret }) => fetch(url + path, { headers })
}

describe('options', { concurrency: true }, () => {
  test('agent: the called agent is in a header', async (t) => {
    const call = await backend(t, {
      agent: ({ header }) => (header('x-agent') ? { agentType: 'agent', agentId: header('x-agent')! } : undefined),
    })
    assert.equal((await call('/v1/call', { 'api-key': secret, 'x-agent': 'by-function' })).status, 200)
    assert.equal((await call('/v1/call')).status, 403)
    assert.equal((await service.row('by-function')).endpoint, '/v1/call')
  })

  test('agent: an error of the function is one of the backend', async (t) => {
    const call = await backend(t, {
      agent: () => {
        throw new Error('thrown on purpose')
      },
    })
    assert.equal((await call('/v1/call')).status, 500)
  })

  test('agentPaths: the type and the workspace of a path', async (t) => {
    const call = await backend(t, {
      agentPaths: ['agent=/v1/{workspace_id}/bots/{agent_id}', 'agent=/v1/bots/{agent_id}'],
      workspaceId: '',
    })
    assert.equal((await call(`/v1/${workspaceId}/bots/by-path/run`)).status, 200)
    assert.equal((await service.row('by-path')).workspaceId, workspaceId)
    assert.equal((await call('/v1/bots/by-path')).status, 503, 'the token is not for all workspaces')
  })

  test('apiKeyHeaders: the challenge names the first', async (t) => {
    const call = await backend(t, { apiKeyHeaders: ['X-Secret'] })
    assert.equal((await call('/v1/agents/header', { 'x-secret': secret })).status, 200)
    const denied = await call('/v1/agents/no-header')
    assert.deepEqual([denied.status, denied.headers.get('www-authenticate')], [401, 'ApiKey realm="api", header="x-secret"'])
    const bearer = await backend(t, { apiKeyHeaders: ['authorization'] })
    const missing = await bearer('/v1/agents/no-bearer', { authorization: 'Bearer of-another-kind' })
    assert.deepEqual([missing.status, missing.headers.get('www-authenticate')], [401, 'Bearer realm="api"'])
    assert.equal((await service.row('no-bearer')).errorCode, 'missing_token')
  })

  test('a path that was changed: the agent is that of the router, the endpoint that of the caller', async (t) => {
    const call = await backend(t, {}, (url) => url.replace('/short/', '/v1/agents/'))
    assert.equal((await call('/short/rewritten/run')).status, 200)
    assert.equal((await service.row('rewritten')).endpoint, '/short/rewritten/run')
  })
})
