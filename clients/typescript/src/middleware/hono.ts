import { callerGone, Ongoing, type Identity } from './call.js'
import { watch, type NodeResponse } from './node.js'
import { bodyOf, headersOf } from './refusal.js'
import type { Middleware } from './middleware.js'

/** The variables of an app: `new Hono<{ Variables: HonoVariables }>()`. */
export interface HonoVariables {
  /** The caller; undefined if the call was not checked. */
  keytrail: Identity | undefined
}

/** What is used of a context of Hono. */
export interface HonoContext {
  req: { raw: Request; method: string; url: string; header(name: string): string | undefined }
  res: Response
  env: unknown
  // Hono's own type depends on the variables of the app.
  set(key: any, value: any): void
}

/** @internal */
export function honoMiddleware(middleware: Middleware) {
  return async (c: HonoContext, next: () => Promise<void>): Promise<Response | undefined> => {
    // @hono/node-server has the response of node:http, which says when the last byte was sent.
    const { outgoing } = (c.env ?? {}) as { outgoing?: NodeResponse }
    const ongoing = outgoing ? watch(outgoing) : new Ongoing()
    const header = (name: string) => c.req.header(name)
    const { refusal, identity } = await middleware.decide({ method: c.req.method, path: pathOf(c.req.url), header }, ongoing)
    if (refusal) {
      const response = new Response(bodyOf(refusal), { status: refusal.status, headers: headersOf(refusal) })
      return outgoing ? response : measured(c, response, ongoing)
    }
    c.set('keytrail', identity)
    if (outgoing) await next()
    else await measuredNext(c, next, ongoing)
    return undefined
  }
}

/** pathOf returns the path of a URL as Hono's router has it, still encoded. */
function pathOf(url: string): string {
  const start = url.indexOf('/', url.indexOf('://') + 3)
  return start < 0 ? '/' : url.slice(start)
}

async function measuredNext(c: HonoContext, next: () => Promise<void>, ongoing: Ongoing): Promise<void> {
  c.req.raw.signal.addEventListener('abort', () => ongoing.end(callerGone), { once: true })
  try {
    await next()
  } catch (error) {
    ongoing.end(500)
    throw error
  }
  const response = measured(c, c.res, ongoing)
  if (response === c.res) return
  // Otherwise Hono adds the headers of the present response to the new one.
  ;(c as { res: Response | undefined }).res = undefined
  c.res = response
}

/** measured returns the same response, whose end is the end of the call. */
function measured(c: HonoContext, response: Response, ongoing: Ongoing): Response {
  const { body, status } = response
  // Hono sends no body of a response to HEAD, and does not read it.
  if (!body || c.req.method === 'HEAD') {
    ongoing.end(status)
    return response
  }
  const reader = body.getReader()
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await reader.read()
        if (!done) return controller.enqueue(value)
        ongoing.end(status)
        controller.close()
      } catch (error) {
        ongoing.end(status)
        controller.error(error)
      }
    },
    cancel(reason) {
      ongoing.end(status)
      return reader.cancel(reason)
    },
  })
  return new Response(stream, response)
}
