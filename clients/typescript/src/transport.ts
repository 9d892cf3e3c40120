import { KeytrailError, statusError, tokenFailed, unreachable } from './error.js'

/** Where the service is, and who calls it. */
export interface KeytrailOptions {
  /** The address of the gateway, e.g. `https://keytrail.example.com`. */
  url: string
  /**
   * A bearer token, or a function that returns one. The function is called before each request, within its deadline: keep the
   * token there while it is valid. If it throws, the call fails with the reason `TOKEN_FAILED`, and is not repeated. The role
   * `checker` may check and report, `viewer` may read, and `admin` may also change keys.
   */
  token: string | (() => string | Promise<string>)
  /** How long a call may take in milliseconds, repetitions included; 10,000 by default. Of a stream: until it begins. */
  timeoutMs?: number
}

/** Options of one call. */
export interface CallOptions {
  /** Ends the call; the promise then rejects with the signal's reason. */
  signal?: AbortSignal | undefined
  /** Instead of the client's `timeoutMs`. */
  timeoutMs?: number | undefined
}

/** One call of the REST API. */
export interface Call extends CallOptions {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  path: string
  query?: object | undefined
  body?: object
  /** Whether the call may be repeated where its response was lost. */
  safe: boolean
  /** How long to wait for one response in milliseconds, if less than the time of the call. */
  attemptMs?: number
}

/** A call that may be repeated is sent at most this often. */
const attempts = 4

/**
 * The budget of repetitions: a request that fails costs 1, and one that succeeds brings back 0.2. Below its half nothing is sent
 * again, as repetitions would only be more load for a service that is down (gRFC A6).
 */
const fullBudget = 100

/** Transport sends calls with the token, a deadline and repetitions. */
export class Transport {
  readonly #url: string
  readonly #token: KeytrailOptions['token']
  readonly timeoutMs: number
  #budget = fullBudget

  constructor(options: KeytrailOptions) {
    const url = new URL(options.url)
    // fetch refuses such an address, with an error that has the password in it.
    if (url.username || url.password) throw new TypeError('url: it must have no user name and password')
    this.#url = options.url.replace(/\/+$/, '')
    this.#token = typeof options.token === 'string' ? validToken(options.token) : options.token
    this.timeoutMs = options.timeoutMs ?? 10_000
  }

  /** json returns the body of the response. It throws a KeytrailError for every response that is not OK. */
  json<T>(call: Call): Promise<T> {
    return this.#send(call, (response) => response.json() as Promise<T>)
  }

  /** stream returns the body of the response as it arrives. The deadline holds until it begins, the signal until it ends. */
  stream(call: Call): Promise<ReadableStream<Uint8Array>> {
    return this.#send(call, async (response) => response.body!)
  }

  async #send<T>(call: Call, read: (response: Response) => Promise<T>): Promise<T> {
    const deadline = performance.now() + (call.timeoutMs ?? this.timeoutMs)
    for (let attempt = 1; ; attempt++) {
      const left = deadline - performance.now()
      try {
        const result = await this.#attempt(call, Math.min(left, call.attemptMs ?? left), read)
        this.#budget = Math.min(this.#budget + 0.2, fullBudget)
        return result
      } catch (error) {
        call.signal?.throwIfAborted()
        if (!(error instanceof KeytrailError) || !error.unavailable) throw error
        this.#budget = Math.max(this.#budget - 1, 0)
        const wait = backoff(attempt, 25)
        const again = call.safe && attempt < attempts && this.#budget > fullBudget / 2
        if (!again || performance.now() + wait >= deadline) throw error
        await pause(wait, call.signal)
      }
    }
  }

  async #attempt<T>(call: Call, ms: number, read: (response: Response) => Promise<T>): Promise<T> {
    const { headers, ...init } = requestOf(call)
    const late = new AbortController()
    const signal = call.signal ? AbortSignal.any([call.signal, late.signal]) : late.signal
    const timer = setTimeout(() => late.abort(), ms)
    try {
      headers.Authorization = `Bearer ${await this.#currentToken(signal)}`
      const response = await fetch(this.#url + call.path + queryString(call.query), { ...init, headers, signal })
      if (response.ok) return await read(response)
      throw statusError(await response.json().catch(() => null), response.status)
    } catch (error) {
      if (error instanceof KeytrailError) throw error
      if (error instanceof SyntaxError) throw new KeytrailError('The response is not JSON.', 200)
      if (late.signal.aborted) throw new KeytrailError('There was no response in time.', 0, '', {}, { cause: error })
      throw unreachable(error)
    } finally {
      clearTimeout(timer)
    }
  }

  /** #currentToken rejects with a KeytrailError if the function fails, or has not returned when the signal is aborted. */
  async #currentToken(signal: AbortSignal): Promise<string> {
    if (typeof this.#token === 'string') return this.#token
    try {
      return validToken(await unlessAborted(this.#token(), signal))
    } catch (cause) {
      if (signal.aborted) throw new KeytrailError('The function `token` has not returned in time.', 0, '', {}, { cause })
      // The message has no text of the cause, which may have a token in it.
      throw new KeytrailError('The function `token` has failed; see the cause.', 0, tokenFailed, {}, { cause })
    }
  }
}

/** requestOf returns what a request has apart from the token. */
function requestOf({ method, body }: Call) {
  const headers: Record<string, string> = {}
  if (!body) return { method, headers }
  headers['Content-Type'] = 'application/json'
  return { method, headers, body: JSON.stringify(body) }
}

/** validToken returns a token for a header. The error of fetch for a header that is not valid has the value in it. */
function validToken(text: string): string {
  const token = text.trim()
  if (!/^[\x21-\x7e]+$/.test(token)) throw new TypeError('token: it is empty, or has characters that a header cannot have')
  return token
}

/** unlessAborted returns the value, and rejects with the signal's reason if that comes first. */
async function unlessAborted<T>(value: T | Promise<T>, signal: AbortSignal): Promise<T> {
  let abort!: () => void
  const aborted = new Promise<never>((_resolve, reject) => (abort = () => reject(signal.reason)))
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort)
  try {
    return await Promise.race([aborted, value])
  } finally {
    // A combined signal that has a listener is kept in memory.
    signal.removeEventListener('abort', abort)
  }
}

/** queryString leaves out what is undefined. */
function queryString(query: object = {}): string {
  const params = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) params.append(name, String(value))
  }
  const text = params.toString()
  return text && `?${text}`
}

/** backoff returns the milliseconds before a repetition: four times as long each time, and random, so that clients spread. */
export function backoff(attempt: number, firstMs: number, longestMs = Infinity): number {
  return Math.min(firstMs * 4 ** (attempt - 1), longestMs) * (0.5 + Math.random())
}

/** pause resolves after a time, and rejects with the signal's reason if that comes first. */
export function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort)
      resolve()
    }, ms)
    if (signal?.aborted) abort()
    else signal?.addEventListener('abort', abort, { once: true })
  })
}
