// The options of the middleware.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, describe, test } from 'node:test'

import type { IncomingCall, MiddlewareOptions } from '@keytrail/client'
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

/** codeOf returns the code of a refusal. */
async function codeOf(response: Promise<Response>): Promise<string> {
  const { error } = (await (await response).json()) as { error: { code: string } }
  return error.code
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
    assert.equal(await codeOf(call('/v1/other/bots/by-path')), 'unknown_path', 'the token is not for this workspace')
  })

  test('workspaceId: a path with another workspace is not served, even if the token is for it', async (t) => {
    const agentPaths = ['agent=/v1/{workspace_id}/bots/{agent_id}', '/v1/{agent_type}s/{agent_id}']
    const call = await backend(t, { agentPaths, workspaceId: 'other' })
    assert.equal(await codeOf(call(`/v1/${workspaceId}/bots/a1`)), 'unknown_path')
    assert.equal(await codeOf(call('/v1/other/bots/a1')), 'unavailable', 'the token is for another workspace')
    assert.equal(await codeOf(call('/v1/agents/a1')), 'unavailable')
    const same = await backend(t, { agentPaths })
    assert.equal((await same(`/v1/${workspaceId}/bots/same-workspace`)).status, 200)
  })

  test('workspaceId: that of the function agent overrides it', async (t) => {
    const agent = ({ header }: IncomingCall) => ({
      agentType: 'agent',
      agentId: 'overrides',
      workspaceId: header('x-workspace')!,
    })
    const call = await backend(t, { agent, workspaceId: 'other' })
    assert.equal((await call('/v1/call', { 'api-key': secret, 'x-workspace': workspaceId })).status, 200)
    assert.equal((await service.row('overrides')).workspaceId, workspaceId)
    assert.equal(await codeOf(call('/v1/call', { 'api-key': secret, 'x-workspace': 'third' })), 'unknown_path')
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
