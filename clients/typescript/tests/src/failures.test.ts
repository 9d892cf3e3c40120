// The service cannot be reached, or only sometimes.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { after, describe, test } from 'node:test'

import { Keytrail, KeytrailError, type KeytrailOptions, type MiddlewareOptions } from '@keytrail/client'

import { frameworks, listen } from './frameworks.js'
import { Proxy, type Fate } from './proxy.js'
import { Service, workspaceId } from './service.js'

const service = await Service.start()
const secret = await service.secret()
after(() => service.stop())

/** backend starts a backend whose service is at url. */
async function backend(url: string, options: MiddlewareOptions = {}, token: KeytrailOptions['token'] = service.checkerToken) {
  const errors: unknown[] = []
  const middleware = new Keytrail({ url, token }).middleware({ workspaceId, onError: (error) => errors.push(error), ...options })
  const { url: at, close } = await frameworks.http!(middleware)
  const call = (id: string, key = secret) => fetch(`${at}/v1/agents/${id}/ok`, { headers: { 'api-key': key } })
  return { middleware, errors, call, close }
}

/** isCheck reports whether the part of a response is that of a check, and not of a report. */
const isCheck = (part: Buffer) => part.includes('reportToken')

/** closedURL returns an address without a server. */
async function closedURL(): Promise<string> {
  const { url, close } = await listen(createServer())
  await close()
  return url
}

describe('without the service', { concurrency: true }, () => {
  test('a call has one row, although connections are cut', async () => {
    // One of every four responses to checks arrives, and one of every two to reports. These are 30 failures of checks, and one of
    // each report, of which there are at most 10; after 50 failures nothing would be repeated.
    const fates: Record<'checks' | 'reports', Fate[]> = {
      checks: ['lose', 'cut', 'lose', 'pass'],
      reports: ['lose', 'pass', 'cut', 'pass'],
    }
    const responses = { checks: 0, reports: 0 }
    const proxy = await Proxy.start(service.url, (part) => {
      const kind = isCheck(part) ? 'checks' : 'reports'
      return fates[kind][responses[kind]++ % 4]!
    })
    const { middleware, call, close } = await backend(proxy.url, { checkTimeoutMs: 20_000 })
    for (let i = 0; i < 5; i++) {
      assert.equal((await call('cut')).status, 200)
      assert.equal((await call('cut', 'sk_none')).status, 401)
    }
    await middleware.close()
    assert.equal(middleware.stats.reportsSent, 10)
    const rows = await service.rows('cut', (rows) => rows.filter((row) => row.latencyMs !== undefined).length >= 10)
    assert.deepEqual(rows.map((row) => row.status).sort(), [...Array(5).fill(200), ...Array(5).fill(401)])
    assert.equal(responses.checks, 40)
    assert.ok(responses.reports % 2 === 0 && responses.reports <= 20, `${responses.reports} responses to reports`)
    await close()
    await proxy.close()
  })

  test('without the service calls are refused', async () => {
    const { middleware, errors, call, close } = await backend(await closedURL())
    const response = await call('closed')
    assert.equal(response.status, 503)
    assert.deepEqual(await response.json(), {
      error: { code: 'unavailable', message: 'The API key could not be checked', fix: 'Send the request again later' },
    })
    assert.equal((await call('closed')).status, 503)
    assert.equal(middleware.stats.refused, 2)
    assert.equal(errors.length, 1, 'an error is logged once a minute')
    assert.ok(errors[0] instanceof KeytrailError && errors[0].unavailable)
    await close()
  })

  test('without the service calls are served, if the backend chose so', async () => {
    const { middleware, call, close } = await backend(await closedURL(), { failOpen: true })
    const response = await call('open')
    assert.deepEqual([response.status, await response.json()], [200, { caller: null, body: '' }])
    assert.equal(middleware.stats.unchecked, 1)
    await middleware.close()
    await close()
  })

  test('a check has a deadline', async () => {
    const silent = await listen(createServer(() => {}))
    const { middleware, call, close } = await backend(silent.url, { failOpen: true, checkTimeoutMs: 100 })
    assert.equal((await call('silent')).status, 200)
    assert.equal(middleware.stats.unchecked, 1)
    await close()
    await silent.close()
  })

  test('a service that hangs is asked again', async () => {
    let hangs = true
    const proxy = await Proxy.start(service.url, () => (hangs ? 'hang' : 'pass'))
    const { middleware, call, close } = await backend(proxy.url, { checkTimeoutMs: 20_000 })
    const response = call('hung')
    await proxy.hung
    hangs = false
    assert.equal((await response).status, 200)
    await middleware.close()
    assert.equal((await service.row('hung')).status, 200)
    await close()
    await proxy.close()
  })

  test('a token that is not valid, and a request that makes its check fail, never let a call through', async () => {
    const wrong = await backend(service.url, { failOpen: true }, 'no-token')
    assert.equal((await wrong.call('token')).status, 503)
    await wrong.close()
    const failed = await backend(service.url, { failOpen: true }, () => Promise.reject(new Error('thrown on purpose')))
    assert.equal((await failed.call('no-token')).status, 503)
    await failed.close()
    const agentPaths = ['/v1/{agent_type}/{workspace_id}/{agent_id}']
    const paths = await backend(service.url, { failOpen: true, agentPaths, workspaceId: '' })
    assert.equal((await paths.call('Not-A-Workspace')).status, 403, 'the token is for another workspace')
    await paths.close()
    const noType = await backend(service.url, { failOpen: true, agentPaths: ['/v1/{agent_type}/{agent_id}'] })
    const response = await noType.call('no-type')
    assert.equal(response.status, 403)
    assert.equal(((await response.json()) as { error: { code: string } }).error.code, 'unknown_path')
    assert.equal(noType.middleware.stats.unknownPath, 1)
    await noType.close()
  })

  test('reports wait until the service can be reached', async () => {
    let down = true
    let failed!: () => void
    const failedTwice = new Promise<void>((resolve) => (failed = resolve))
    let lost = 0
    const proxy = await Proxy.start(service.url, (part) => {
      if (!down || isCheck(part)) return 'pass'
      if (++lost === 2) failed()
      return 'lose'
    })
    const { middleware, call, close } = await backend(proxy.url)
    await call('later')
    await failedTwice
    assert.equal(middleware.stats.reportsPending, 1)
    down = false
    await middleware.close()
    assert.equal(middleware.stats.reportsSent, 1)
    assert.equal((await service.row('later')).status, 200)
    await close()
    await proxy.close()
  })

  test('reports that are refused are logged', async () => {
    const server = createServer((req, res) => {
      const check = { allowed: true, httpStatus: 200, reportToken: 'forged' }
      res.end(JSON.stringify(req.url === '/v1/check' ? check : { refused: [{ index: 0, reason: 'foreign_workspace' }] }))
    })
    const { url, close: closeService } = await listen(server)
    const { middleware, errors, call, close } = await backend(url)
    await call('refused')
    await middleware.close()
    assert.match(String(errors), /foreign_workspace/)
    assert.equal(middleware.stats.reportsRefused, 1)
    await close()
    await closeService()
  })

  test('close gives up at its deadline', async () => {
    const proxy = await Proxy.start(service.url, (part) => (isCheck(part) ? 'pass' : 'lose'))
    const { middleware, call, close } = await backend(proxy.url)
    await call('given-up')
    await middleware.close({ timeoutMs: 50 })
    assert.deepEqual([middleware.stats.reportsDropped, middleware.stats.reportsPending], [1, 0])
    await close()
    await proxy.close()
  })

  test('a caller that goes away during the check', async () => {
    let checked!: () => void
    let goOn!: () => void
    const checking = new Promise<void>((resolve) => (checked = resolve))
    const gone = new Promise<void>((resolve) => (goOn = resolve))
    const proxy = await Proxy.start(service.url, async (): Promise<Fate> => {
      checked()
      await gone
      return 'pass'
    })
    const middleware = new Keytrail({ url: proxy.url, token: service.checkerToken }).middleware({ workspaceId })
    let served = false
    const server = createServer(middleware.http(() => (served = true)))
    const { url, close } = await listen(server)
    const caller = new AbortController()
    const response = fetch(`${url}/v1/agents/early/ok`, { headers: { 'api-key': secret }, signal: caller.signal })
    const [socket] = await once(server, 'connection')
    await checking
    caller.abort()
    await assert.rejects(response)
    await once(socket, 'close')
    goOn()
    await middleware.close()
    assert.equal((await service.row('early')).status, 499)
    assert.equal(served, false)
    await close()
    await proxy.close()
  })
})
