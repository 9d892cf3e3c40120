// The client's own calls: keys, logs, errors.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, describe, test } from 'node:test'
import { text } from 'node:stream/consumers'
import { inspect } from 'node:util'

import { Keytrail, KeytrailError } from '@keytrail/client'

import { listen } from './frameworks.js'
import { Proxy } from './proxy.js'
import { Service, workspaceId } from './service.js'

const service = await Service.start()
const { admin, checker } = service
const { keys, logs } = admin
after(() => service.stop())

const call = { agentType: 'agent', method: 'POST', workspaceId }

describe('the client', { concurrency: true }, () => {
  test('the life of a key', async () => {
    const { key, secret } = await keys.create(workspaceId, { name: 'life', scopes: ['agent'], allAgents: true, externalId: 'c1' })
    assert.equal(key.last4, secret.slice(-4))
    assert.deepEqual(await keys.get(workspaceId, key.id), key)
    const updated = await keys.update(workspaceId, key.id, { name: 'renamed', etag: key.etag })
    assert.deepEqual([updated.name, updated.externalId], ['renamed', 'c1'])
    const rotated = await keys.rotate(workspaceId, key.id, { gracePeriod: '60s' })
    assert.equal(rotated.key.secrets.length, 2)
    assert.notEqual(rotated.secret, secret)
    await keys.delete(workspaceId, key.id)
    await assert.rejects(keys.get(workspaceId, key.id), { status: 404, reason: 'KEY_NOT_FOUND' })
  })

  test('keys are listed over all pages', async () => {
    const names = ['p1', 'p2', 'p3', 'p4', 'p5']
    for (const name of names) await keys.create(workspaceId, { name, scopes: ['agent'], allAgents: true, externalId: 'pages' })
    assert.equal((await keys.list(workspaceId, { externalId: 'pages', pageSize: 2 })).keys.length, 2)
    const found: string[] = []
    for await (const { name } of keys.iterate(workspaceId, { externalId: 'pages', pageSize: 2 })) found.push(name)
    assert.deepEqual(found.sort(), names)
  })

  test('a check, its report and its row', async () => {
    const apiKey = await service.secret()
    const check = await checker.check({ ...call, apiKey, agentId: 'row', endpoint: '/v1/agents/row' })
    assert.ok(check.allowed)
    const { refused } = await checker.report([
      { reportToken: check.reportToken, status: 201, latencyMs: 1.5 },
      { reportToken: 'forged', status: 200, latencyMs: 1 },
    ])
    assert.deepEqual(refused, [{ index: 1, reason: 'invalid' }])
    const row = await service.row('row')
    assert.deepEqual([row.id, row.status, row.latencyMs], [check.requestLogId, 201, 1.5])
    assert.deepEqual(await logs.get(workspaceId, row.id), row)
    assert.equal((await logs.list(workspaceId, { agentId: 'row' })).requestLogs.length, 1)
    const { total } = await logs.summary(workspaceId, { agentId: 'row' })
    assert.deepEqual(total.counts, [{ statusClass: '2xx', errorCode: '', callCount: '1' }])
    const file = await text(await logs.export(workspaceId, { agentId: 'row', format: 'csv' }))
    assert.match(file, new RegExp(`\n${row.id},.*\n# rows=1\n$`, 's'))
  })

  test('rows are iterated over all pages', async () => {
    const ids = new Set<string>()
    for (let i = 0; i < 5; i++) ids.add((await checker.check({ ...call, agentId: 'iterated' })).requestLogId)
    await service.rows('iterated', (rows) => rows.length === 5)
    const found: string[] = []
    for await (const { id } of logs.iterate(workspaceId, { agentId: 'iterated', pageSize: 2 })) found.push(id)
    assert.deepEqual(found, [...ids].sort().reverse())
  })

  test('a live stream continues after a break', { timeout: 20_000 }, async () => {
    let losing = false
    const proxy = await Proxy.start(service.url, () => {
      const fate = losing ? 'lose' : 'pass'
      losing = false
      return fate
    })
    const ended = new AbortController()
    const { logs } = new Keytrail({ url: proxy.url, token: async () => service.adminToken })
    const made: string[] = []
    const make = async () => void made.push((await checker.check({ ...call, agentId: 'tailed' })).requestLogId)
    const seen = new Set<string>()
    let gaps = 0
    const read = async () => {
      for await (const { requestLogs, gap } of logs.tail(workspaceId, { agentId: 'tailed' }, { signal: ended.signal })) {
        for (const { id } of requestLogs) seen.add(id)
        if (gap) gaps++
        if (made.length === 0) await make()
        else if (made.length === 1 && seen.has(made[0]!)) {
          // The next message is lost.
          losing = true
          await make()
        }
        if (made.length === 2 && seen.has(made[1]!)) ended.abort()
      }
    }
    await assert.rejects(read(), { name: 'AbortError' })
    assert.deepEqual([...seen], made)
    assert.equal(gaps, 1)
    await proxy.close()
  })

  test('a live stream ends with an error that does not pass', async () => {
    await assert.rejects(checker.logs.tail(workspaceId).next(), { status: 403, reason: 'ROLE_MISSING' })
  })

  test('errors have the status, the reason and the metadata of the service', async () => {
    await assert.rejects(checker.check({ ...call, agentType: 'No Type' }), (error) => {
      assert.ok(error instanceof KeytrailError)
      assert.deepEqual([error.status, error.reason, error.metadata], [400, 'FIELD_INVALID', { field: 'agent_type' }])
      assert.match(error.message, /agent_type/)
      return true
    })
    await assert.rejects(new Keytrail({ url: service.url, token: 'none' }).keys.list(workspaceId), {
      status: 401,
      reason: 'TOKEN_INVALID',
    })
    await assert.rejects(logs.list(workspaceId, {}, { signal: AbortSignal.abort() }), { name: 'AbortError' })
    await assert.rejects(logs.list(workspaceId, { pageSize: -1 }), { status: 400 })
  })

  test('errors have no token in them', async () => {
    const token = 'secret\ntoken'
    for (const options of [
      { url: service.url, token },
      { url: 'http://user:secret@127.0.0.1', token: 'x' },
    ]) {
      assert.throws(
        () => new Keytrail(options),
        (error) => error instanceof TypeError && !String(error).includes('secret'),
      )
    }
    const broken = new Keytrail({ url: service.url, token: () => token })
    await assert.rejects(broken.keys.list(workspaceId), (error) => {
      assert.ok(error instanceof KeytrailError && error.cause instanceof TypeError)
      return !inspect(error).includes('secret')
    })
  })

  for (const [how, token] of Object.entries({
    throws: () => {
      throw new Error('thrown on purpose')
    },
    rejects: () => Promise.reject(new Error('thrown on purpose')),
  })) {
    test(`a token function that ${how}`, async () => {
      let calls = 0
      const counted = () => {
        calls++
        return token()
      }
      await assert.rejects(new Keytrail({ url: service.url, token: counted }).keys.list(workspaceId), (error) => {
        assert.ok(error instanceof KeytrailError)
        assert.deepEqual([error.status, error.reason, error.unavailable], [0, 'TOKEN_FAILED', false])
        assert.equal((error.cause as Error).message, 'thrown on purpose')
        return true
      })
      assert.equal(calls, 1)
    })
  }

  test('a token function that hangs ends with the deadline, or with the signal', { timeout: 5000 }, async () => {
    const { keys } = new Keytrail({ url: service.url, token: () => new Promise<string>(() => {}) })
    await assert.rejects(keys.list(workspaceId, {}, { timeoutMs: 50 }), { name: 'KeytrailError', status: 0, unavailable: true })
    await assert.rejects(keys.list(workspaceId, {}, { signal: AbortSignal.abort() }), { name: 'AbortError' })
    const ended = new AbortController()
    const call = keys.list(workspaceId, {}, { signal: ended.signal })
    ended.abort()
    await assert.rejects(call, { name: 'AbortError' })
  })

  test('only what is safe is sent again', async () => {
    const methods: string[] = []
    const { url, close } = await listen(
      createServer((req, res) => {
        methods.push(req.method!)
        res.writeHead(503, { 'retry-after': '1' }).end('not JSON')
      }),
    )
    const { keys } = new Keytrail({ url, token: 'x' })
    await assert.rejects(keys.list(workspaceId), { status: 503, reason: '' })
    await assert.rejects(keys.create(workspaceId, { name: 'once', scopes: ['agent'] }), { status: 503 })
    await assert.rejects(keys.delete(workspaceId, 'x'), { status: 503 })
    assert.deepEqual(methods, ['GET', 'GET', 'GET', 'GET', 'POST', 'DELETE'])
    await close()
  })

  test('repetitions end while the service is down', async () => {
    let requests = 0
    const { url, close } = await listen(
      createServer((_req, res) => {
        requests++
        res.writeHead(503).end()
      }),
    )
    const { keys } = new Keytrail({ url, token: 'x' })
    await Promise.allSettled(Array.from({ length: 100 }, () => keys.list(workspaceId)))
    assert.ok(requests < 200, `${requests} requests`)
    await assert.rejects(keys.list(workspaceId), { status: 503 })
    await close()
  })

  for (const ahead of [10, -10].map((minutes) => minutes * 60_000)) {
    test(`a service whose clock is ${ahead} ms ahead gets ids of its own time`, async () => {
      const times: number[] = []
      const server = createServer(async (req, res) => {
        const { callId } = JSON.parse(await text(req)) as { callId: string }
        const time = parseInt(callId.replace('-', '').slice(0, 12), 16)
        times.push(time)
        const server_time = new Date(Date.now() + ahead).toISOString()
        if (Math.abs(time - Date.now() - ahead) > 60_000) {
          res.writeHead(400)
          const details = [
            { '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: 'CALL_ID_CLOCK', metadata: { server_time } },
          ]
          res.end(JSON.stringify({ code: 3, message: 'the clock', details }))
        } else res.end('{"allowed": true}')
      })
      const { url, close } = await listen(server)
      const keytrail = new Keytrail({ url, token: 'x' })
      await keytrail.check(call)
      await keytrail.check(call)
      assert.equal(times.length, 3)
      await close()
    })
  }
})
