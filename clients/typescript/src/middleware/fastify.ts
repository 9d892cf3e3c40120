import { incoming, watch, type NodeResponse } from './node.js'
import { bodyOf, headersOf } from './refusal.js'
import type { Identity } from './call.js'
import type { Middleware } from './middleware.js'

/** What is used of a Fastify instance. */
export interface FastifyInstance {
  hasRequestDecorator(name: string): boolean
  decorateRequest(name: string, value: null): unknown
  // Fastify's own types of hooks are overloaded and generic.
  addHook(name: 'onRequest', hook: any): unknown
}

interface FastifyRequest {
  method: string
  url: string
  originalUrl: string
  headers: Record<string, string | string[] | undefined>
  keytrail: Identity | null
}

interface FastifyReply {
  raw: NodeResponse
  code(status: number): FastifyReply
  headers(values: Record<string, string>): FastifyReply
  send(body: string): unknown
}

/** @internal */
export function fastifyPlugin(middleware: Middleware) {
  const plugin = (instance: FastifyInstance, _options: unknown, done: () => void): void => {
    if (!instance.hasRequestDecorator('keytrail')) instance.decorateRequest('keytrail', null)
    instance.addHook('onRequest', async (request: FastifyRequest, reply: FastifyReply) => {
      const { refusal, identity } = await middleware.decide(incoming(request, request.url), watch(reply.raw))
      if (refusal) return reply.code(refusal.status).headers(headersOf(refusal)).send(bodyOf(refusal))
      request.keytrail = identity ?? null
    })
    done()
  }
  // The hook holds for the instance that registers the plugin, and not for an instance of its own.
  return Object.assign(plugin, { [Symbol.for('skip-override')]: true, [Symbol.for('fastify.display-name')]: '@keytrail/client' })
}
