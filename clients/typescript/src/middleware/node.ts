import { callerGone, Ongoing, switchingProtocols, type Identity, type IncomingCall } from './call.js'
import { bodyOf, headersOf } from './refusal.js'
import type { Middleware } from './middleware.js'

declare global {
  namespace Express {
    interface Request {
      /** The caller; undefined if the call was not checked. */
      keytrail?: Identity | undefined
    }
  }
}

/** What is used of the request of node:http, and of frameworks on it. */
export interface NodeRequest {
  method?: string | undefined
  url?: string | undefined
  /** The path below which the middleware is registered, which Express removes from `url`. */
  baseUrl?: string
  /** The path as it was sent. */
  originalUrl?: string
  headers: Record<string, string | string[] | undefined>
  keytrail?: Identity | undefined
}

/** What is used of the response of node:http. */
export interface NodeResponse {
  statusCode: number
  readonly headersSent: boolean
  readonly destroyed: boolean
  /** The connection; null while the response waits for those of earlier requests on it. */
  readonly socket?: unknown
  readonly req?: { upgrade?: boolean; socket?: NodeSocket }
  setHeader(name: string, value: string): unknown
  end(body?: string): unknown
  destroy(): unknown
  once(event: 'finish' | 'close', listener: () => void): unknown
}

/** What is used of a connection. */
export interface NodeSocket {
  readonly destroyed: boolean
  once(event: 'close', listener: () => void): unknown
}

/** @internal */
export function expressMiddleware(middleware: Middleware) {
  return (req: NodeRequest, res: NodeResponse, next: (error?: unknown) => void): void => {
    admit(middleware, req, res).then((served) => {
      if (served) next()
    }, next)
  }
}

/** @internal */
export function httpListener(middleware: Middleware) {
  /**
   * Wraps a request listener. If it throws or rejects, the response has the status 500, or is cut if it has begun, and the error
   * is thrown again, as an unhandled rejection.
   */
  return <Request extends NodeRequest, Response extends NodeResponse>(
      listener: (req: Request & { keytrail?: Identity | undefined }, res: Response) => unknown,
    ) =>
    async (req: Request, res: Response): Promise<void> => {
      try {
        if (await admit(middleware, req, res)) await listener(req, res)
      } catch (error) {
        if (res.headersSent) res.destroy()
        else {
          res.statusCode = 500
          res.end()
        }
        throw error
      }
    }
}

/** admit reports whether a call is to be served. It has written the response if not. */
async function admit(middleware: Middleware, req: NodeRequest, res: NodeResponse): Promise<boolean> {
  const ongoing = watch(res)
  const { refusal, identity } = await middleware.decide(incoming(req, (req.baseUrl ?? '') + req.url), ongoing)
  // The caller has gone meanwhile.
  if (res.destroyed) return false
  if (refusal) {
    res.statusCode = refusal.status
    for (const [name, value] of Object.entries(headersOf(refusal))) res.setHeader(name, value)
    res.end(bodyOf(refusal))
    return false
  }
  req.keytrail = identity
  return true
}

/** watch measures a response until its last byte is handed to the system, or its connection is lost before. */
export function watch(res: NodeResponse): Ongoing {
  const ongoing = new Ongoing()
  const { upgrade, socket } = res.req ?? {}
  // A WebSocket has no response of node:http.
  const unsent = upgrade ? switchingProtocols : callerGone
  // In HTTP/2, a response that is cut finishes, too.
  const end = () => ongoing.end(res.headersSent ? res.statusCode : unsent)
  res.once('finish', end)
  res.once('close', end)
  if (socket?.destroyed) ongoing.end(callerGone)
  else if (socket && !res.socket) endQueued(res, socket, ongoing)
  return ongoing
}

/** The responses of a connection that waited for others when their requests came. */
const queues = new WeakMap<NodeSocket, Map<NodeResponse, Ongoing>>()

/**
 * endQueued ends a call with its connection, where its response still waits for that of an earlier request (pipelining): it gets
 * no event then.
 */
function endQueued(res: NodeResponse, socket: NodeSocket, ongoing: Ongoing): void {
  let queue = queues.get(socket)
  if (!queue) {
    const responses = (queue = new Map<NodeResponse, Ongoing>())
    queues.set(socket, responses)
    socket.once('close', () => responses.forEach((waiting, response) => response.socket || waiting.end(callerGone)))
  }
  queue.set(res, ongoing)
  void ongoing.ended.then(() => queue.delete(res))
}

/** incoming returns the call of a request, whose router reads a path. */
export function incoming(req: Pick<NodeRequest, 'method' | 'headers' | 'originalUrl'>, path: string): IncomingCall {
  return {
    method: req.method ?? '',
    path,
    endpoint: req.originalUrl,
    header: (name) => {
      const value = req.headers[name]
      return Array.isArray(value) ? value.join(', ') : value
    },
  }
}
