// How calls end that node:http and its frameworks treat in their own way.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, ServerResponse, type IncomingMessage } from 'node:http'
import { connect as connectHTTP2 } from 'node:http2'
import { connect, type AddressInfo } from 'node:net'
import { after, describe, test } from 'node:test'

import fastify from 'fastify'

import { listen } from './frameworks.js'
import { gateOf } from './gate.js'
import { Service, workspaceId } from './service.js'

const service = await Service.start()
const secret = await service.secret()
const middleware = service.checker.middleware({ workspaceId })
after(() => service.stop())

/** request is one on a connection that stays open. */
const request = (agentId: string, headers = '') =>
  `GET /v1/agents/${agentId} HTTP/1.1\r\nHost: backend\r\napi-key: ${secret}\r\n${headers}\r\n`

describe('calls end', { concurrency: true }, () => {
  test('with their connection, also those that wait for an earlier response on it', async () => {
    let waiting = 3
    const server = createServer(
      middleware.http<IncomingMessage, ServerResponse>((req, res) => {
        if (!req.url!.endsWith('first')) res.end()
        if (--waiting === 0) gateOf('pipelined').enter()
      }),
    )
    const { url, close } = await listen(server)
    const caller = connect(Number(new URL(url).port), '127.0.0.1')
    caller.write(request('pipelined-first') + request('pipelined-second') + request('pipelined-third'))
    await gateOf('pipelined').entered
    caller.destroy()
    for (const id of ['first', 'second', 'third']) assert.equal((await service.row(`pipelined-${id}`)).status, 499)
    await close()
  })

  test('at once, where the caller went away before the middleware', async () => {
    const checked = middleware.http<IncomingMessage, ServerResponse>(() => {})
    const server = createServer(async (req, res) => {
      caller.destroy()
      await once(req.socket, 'close')
      await checked(req, res)
    })
    const { url, close } = await listen(server)
    const caller = connect(Number(new URL(url).port), '127.0.0.1')
    caller.write(request('gone-before'))
    assert.equal((await service.row('gone-before')).status, 499)
    await close()
  })

  test('with 499 in HTTP/2, too', async () => {
    const app = fastify({ http2: true })
    app.register(middleware.fastify)
    app.get('/v1/agents/:id', async () => {
      gateOf('http2').enter()
      await gateOf('http2').released
    })
    await app.listen({ port: 0, host: '127.0.0.1' })
    const caller = connectHTTP2(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
    const call = caller.request({ ':path': '/v1/agents/http2', 'api-key': secret })
    await gateOf('http2').entered
    call.close()
    assert.equal((await service.row('http2')).status, 499)
    gateOf('http2').release()
    caller.destroy()
    await app.close()
  })

  test('with 101 as a WebSocket', async () => {
    const checked = middleware.http<IncomingMessage, ServerResponse>((_req, res) => {
      res.socket!.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    })
    // As @fastify/websocket does.
    const server = createServer().on('upgrade', (req, socket) => {
      const res = new ServerResponse(req)
      res.assignSocket(req.socket)
      socket.on('end', () => socket.destroy())
      void checked(req, res)
    })
    const { url, close } = await listen(server)
    const caller = connect(Number(new URL(url).port), '127.0.0.1')
    caller.write(request('websocket', 'Connection: Upgrade\r\nUpgrade: websocket\r\n'))
    await once(caller, 'data')
    caller.end()
    assert.equal((await service.row('websocket')).status, 101)
    await close()
  })
})
