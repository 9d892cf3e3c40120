import type { components } from './schema'

// ApiError is an error of the API, or of the way to it. docs/errors.md lists the reasons.
export class ApiError extends Error {
  constructor(
    message: string,
    /** The HTTP status; 0 if there was no response. */
    readonly status: number,
    /** The reason, e.g. `KEY_NOT_FOUND`; empty if the response had none. */
    readonly reason = '',
    readonly metadata: Readonly<Record<string, string>> = {},
    /** The wrong fields of the request, with what is wrong. */
    readonly fields: readonly FieldViolation[] = [],
  ) {
    super(message)
  }

  /** Whether the service cannot be reached or is not ready: the same request may succeed later. */
  get away(): boolean {
    return this.status === 0 || this.status === 502 || this.status === 503 || this.status === 504
  }
}

export interface FieldViolation {
  field: string
  description: string
}

// statusError reads an error in the form of google.rpc.Status. Anything else, e.g. the page of a proxy, gives its HTTP status.
export function statusError(body: unknown, status: number): ApiError {
  const rpc = (typeof body === 'object' && body !== null ? body : {}) as Partial<components['schemas']['Status']>
  let reason = ''
  let metadata: Record<string, string> = {}
  let fields: FieldViolation[] = []
  for (const detail of (rpc.details ?? []) as Array<Record<string, unknown>>) {
    if (typeof detail.reason === 'string') {
      reason = detail.reason
      metadata = (detail.metadata ?? {}) as Record<string, string>
    }
    if (Array.isArray(detail.fieldViolations)) fields = detail.fieldViolations as FieldViolation[]
  }
  return new ApiError(rpc.message || `The service returned HTTP ${status}.`, status, reason, metadata, fields)
}

/** aborted reports whether an error only says that the request was given up. */
export function aborted(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError'
}

/** asApiError makes an ApiError of anything that a request can throw. */
export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error
  return new ApiError('The service cannot be reached.', 0)
}
