// The same small backend with each framework: /v1/agents/ID/ACTION.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'

import { text } from 'node:stream/consumers'

import { serve } from '@hono/node-server'
import type { HonoVariables, Middleware } from '@keytrail/client'
import express, { type Express } from 'express'
import express4 from 'express4'
import fastify from 'fastify'
import { Hono } from 'hono'

import { gateOf } from './gate.js'

/** A backend listens on url until close. */
export interface Backend {
  url: string
  close(): Promise<void>
}

type Start = (middleware: Middleware) => Promise<Backend>

export const frameworks: Record<string, Start> = {
  http: startHTTP,
  express: (middleware) => startExpress(express(), middleware),
  // The types of Express 5 hold for what is used here.
  express4: (middleware) => startExpress((express4 as unknown as typeof express)(), middleware),
  hono: startHono,
  fastify: startFastify,
}

export async function listen(server: Server): Promise<Backend> {
  if (!server.listening) await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** act is the listener of node:http. */
async function act(req: IncomingMessage & { keytrail?: unknown }, res: ServerResponse): Promise<void> {
  const [, , , id = '', action] = req.url!.replace(/\?.*/, '').split('/')
  const gate = gateOf(id)
  if (action === 'throw') throw new Error('thrown on purpose')
  if (action === 'fail') res.statusCode = 500
  if (action === 'unchanged') res.statusCode = 304
  if (action === 'hold' || action === 'stream') {
    if (action === 'stream') res.write('first ')
    gate.enter()
    await gate.released
  }
  const body = req.method === 'POST' ? await text(req) : ''
  res.end(JSON.stringify({ caller: req.keytrail ?? null, body }))
}

function startHTTP(middleware: Middleware): Promise<Backend> {
  const checked = middleware.http<IncomingMessage, ServerResponse>(act)
  // The listener's error is thrown again.
  return listen(createServer((req, res) => void checked(req, res).catch(() => {})))
}

function startExpress(app: Express, middleware: Middleware): Promise<Backend> {
  app.set('env', 'test') // no log of errors
  const router = express.Router()
  router.get('/:id/throw', () => {
    throw new Error('thrown on purpose')
  })
  router.post('/:id/echo', express.text(), (req, res) => void res.json({ caller: req.keytrail, body: req.body }))
  router.use((req, res) => {
    req.url = req.originalUrl
    return act(req, res)
  })
  // Below a path, where req.url is not the whole one.
  app.use('/v1/agents', middleware.express, router)
  return listen(createServer(app))
}

export function honoApp(middleware: Middleware): Hono<{ Variables: HonoVariables }> {
  const app = new Hono<{ Variables: HonoVariables }>()
  app.onError((_, c) => c.text('failed', 500))
  app.use(middleware.hono)
  app.get('/v1/agents/:id/throw', () => {
    throw new Error('thrown on purpose')
  })
  app.get('/v1/agents/:id/fail', (c) => c.text('failed', 500))
  app.get('/v1/agents/:id/unchanged', (c) => c.body(null, 304))
  app.get('/v1/agents/:id/hold', async (c) => {
    const gate = gateOf(c.req.param('id'))
    gate.enter()
    await gate.released
    return c.text('held')
  })
  app.get('/v1/agents/:id/stream', (c) => {
    const gate = gateOf(c.req.param('id'))
    const stream = new ReadableStream({
      async start(controller) {
        controller.enqueue(new TextEncoder().encode('first '))
        gate.enter()
        await gate.released
        controller.close()
      },
    })
    return c.body(stream)
  })
  app.all('/v1/agents/:id/:action', async (c) => c.json({ caller: c.get('keytrail') ?? null, body: await c.req.text() }))
  return app
}

async function startHono(middleware: Middleware): Promise<Backend> {
  const server = serve({ fetch: honoApp(middleware).fetch, port: 0, hostname: '127.0.0.1' }) as Server
  if (!server.listening) await once(server, 'listening')
  return listen(server)
}

async function startFastify(middleware: Middleware): Promise<Backend> {
  const app = fastify()
  app.register(middleware.fastify)
  app.get('/v1/agents/:id/throw', () => {
    throw new Error('thrown on purpose')
  })
  app.post('/v1/agents/:id/echo', async (request) => ({ caller: request.getDecorator('keytrail'), body: request.body }))
  app.all('/v1/agents/:id/:action', (request, reply) => {
    reply.hijack()
    const raw = Object.assign(request.raw, { keytrail: request.getDecorator('keytrail') })
    void act(raw, reply.raw)
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return listen(app.server)
}
