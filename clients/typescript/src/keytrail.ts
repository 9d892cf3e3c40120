import { newCallId } from './callId.js'
import { KeytrailError } from './error.js'
import { Keys } from './keys.js'
import { Logs } from './logs.js'
import { Middleware, type MiddlewareOptions } from './middleware/middleware.js'
import { Transport, type CallOptions, type KeytrailOptions } from './transport.js'
import type { components } from './gen/openapi.js'

type Schemas = components['schemas']

/**
 * A client of Keytrail's REST API. Every call that fails rejects with a {@link KeytrailError}; with the reason of the caller's
 * signal, if that is aborted; and with a TypeError for an argument that cannot be sent. Calls that only read, checks and reports
 * are sent again, up to 4 times in all, if the service cannot be reached or is not ready.
 */
export class Keytrail {
  /** The API keys. */
  readonly keys: Keys
  /** The request logs. */
  readonly logs: Logs
  readonly #transport: Transport
  /** How far the clock of the service is ahead of ours; 0 while they are less than a minute apart. */
  #aheadMs = 0

  /** It throws a TypeError for an address or a token that is not valid. */
  constructor(options: KeytrailOptions) {
    this.#transport = new Transport(options)
    this.keys = new Keys(this.#transport)
    this.logs = new Logs(this.#transport)
  }

  /**
   * check decides on one call. A denial is a response, not an error. Without a `callId` it gets a new one, so that repetitions
   * make no second row. Needs the role `checker`.
   */
  async check(request: Schemas['CheckRequest'], options?: CallOptions): Promise<Schemas['CheckResponse']> {
    // A service that hangs keeps its connection. The next attempt has another one, and may reach another replica.
    const attemptMs = (options?.timeoutMs ?? this.#transport.timeoutMs) / 2
    const send = () => {
      const body = { ...request, callId: request.callId || newCallId(this.#aheadMs) }
      return this.#transport.json<Schemas['CheckResponse']>({
        ...options,
        method: 'POST',
        path: '/v1/check',
        body,
        safe: true,
        attemptMs,
      })
    }
    try {
      return await send()
    } catch (error) {
      // The service refuses ids that are more than a minute off its clock.
      const wrongClock = error instanceof KeytrailError && error.reason === 'CALL_ID_CLOCK' && !request.callId
      if (!wrongClock) throw error
      this.#aheadMs = Date.parse(error.metadata.server_time ?? '') - Date.now() || 0
      return send()
    }
  }

  /**
   * report completes the rows of up to 1,000 calls. The response names the outcomes that were refused. Needs the role
   * `checker`.
   */
  report(outcomes: Schemas['Outcome'][], options?: CallOptions): Promise<Schemas['ReportResponse']> {
    return this.#transport.json({ ...options, method: 'POST', path: '/v1/report', body: { outcomes }, safe: true })
  }

  /** middleware returns a middleware that checks and reports every call of a backend. {@link Middleware.close} ends it. */
  middleware(options?: MiddlewareOptions): Middleware {
    return new Middleware(this, options)
  }
}
