// The typed client of the REST API. Every request carries the token of the session.
import createClient from 'openapi-fetch'
import { currentToken, endSession } from '../session/token'
import { ApiError, aborted, asApiError, statusError } from './error'
import type { paths } from './schema'

const attempts = 3
const longestWaitMs = 5_000

export const api = createClient<paths>({ fetch: (request: Request) => send(request) })

// send adds the token, and repeats reads that may succeed a moment later. It throws an ApiError for every response that is
// not OK, and the browser's AbortError for a request that was given up.
export async function send(request: Request): Promise<Response> {
  const token = currentToken()
  request.headers.set('Authorization', `Bearer ${token}`)
  for (let attempt = 1; ; attempt++) {
    const response = await fetchOnce(request.clone(), request.method === 'GET' && attempt < attempts)
    if (response?.ok) return response
    if (response && !retryable(request, response, attempt)) {
      const error = statusError(await response.json().catch(() => null), response.status)
      // The response may belong to an earlier token.
      if (response.status === 401 && token === currentToken()) endSession('ended')
      throw error
    }
    await pause(waitMs(response, attempt), request.signal)
  }
}

async function fetchOnce(request: Request, again: boolean): Promise<Response | null> {
  try {
    return await fetch(request)
  } catch (error) {
    if (aborted(error)) throw error
    if (!again) throw asApiError(error)
    return null
  }
}

function retryable(request: Request, response: Response, attempt: number): boolean {
  return request.method === 'GET' && attempt < attempts && (response.status === 503 || response.status === 429)
}

function waitMs(response: Response | null, attempt: number): number {
  const seconds = Number(response?.headers.get('Retry-After') ?? NaN)
  return Math.min(seconds >= 0 ? seconds * 1000 : 200 * 2 ** attempt, longestWaitMs)
}

/** pause resolves after a time, and rejects with an AbortError if the signal comes first. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer)
      reject(new DOMException('given up', 'AbortError'))
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', abort)
      resolve()
    }, ms)
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
  })
}

// ok returns the body of a response of `api`. Failed requests have thrown an ApiError before: see send.
export async function ok<T>(result: Promise<{ data?: T; response: Response }>): Promise<T> {
  const { data, response } = await result
  if (data === undefined) throw new ApiError('The response cannot be read.', response.status)
  return data
}
