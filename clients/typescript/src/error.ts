import type { components } from './gen/openapi.js'

/** An error of the service, or of the way to it. A denied check is not an error. */
export class KeytrailError extends Error {
  override readonly name = 'KeytrailError'

  constructor(
    message: string,
    /** The HTTP status; 0 if there was no response. */
    readonly status: number,
    /** The reason, e.g. `KEY_NOT_FOUND`; empty if the response has none. Compare it, and not the message. */
    readonly reason = '',
    /** Values for programs, e.g. `field` of `FIELD_INVALID`. */
    readonly metadata: Readonly<Record<string, string>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options)
  }

  /** Whether the service cannot be reached or is not ready: the same request may succeed later. */
  get unavailable(): boolean {
    return this.status === 0 || (this.status >= 502 && this.status <= 504)
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
