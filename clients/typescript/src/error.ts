import type { components } from './gen/openapi.js'

/** The reason of an error of the function `token`. It is the client's own: the service has no such reason. */
export const tokenFailed = 'TOKEN_FAILED'

/** An error of the service, of the way to it, or of the function `token`. A denied check is not an error. */
export class KeytrailError extends Error {
  override readonly name = 'KeytrailError'

  constructor(
    message: string,
    /** The HTTP status; 0 if there was no response. */
    readonly status: number,
    /**
     * The reason, e.g. `KEY_NOT_FOUND`; empty if the response has none, and `TOKEN_FAILED` if the function `token` threw the
     * `cause`. Compare it, and not the message.
     */
    readonly reason = '',
    /** Values for programs, e.g. `field` of `FIELD_INVALID`. */
    readonly metadata: Readonly<Record<string, string>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options)
  }

  /** Whether the service cannot be reached or is not ready: the same request may succeed later. */
  get unavailable(): boolean {
    if (this.status === 0) return this.reason !== tokenFailed
    return this.status >= 502 && this.status <= 504
  }
}

/** statusError reads a google.rpc.Status in JSON. Anything else, e.g. the page of a proxy, gives its HTTP status. */
export function statusError(body: unknown, status: number): KeytrailError {
  const rpc = (typeof body === 'object' && body !== null ? body : {}) as Partial<components['schemas']['Status']>
  const info = rpc.details?.find((detail) => detail.reason)
  return new KeytrailError(rpc.message || `The service returned HTTP ${status}.`, status, info?.reason, info?.metadata)
}

/** unreachable is the error of a request that got no response. The error of fetch only says so; its cause says why. */
export function unreachable(error: unknown): KeytrailError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  const reason = cause instanceof Error ? (cause as { code?: string }).code || cause.message : String(cause)
  return new KeytrailError(`The service cannot be reached: ${reason}`, 0, '', {}, { cause: error })
}
