import type { components } from '../gen/openapi.js'

/** Why a call is not served. */
export interface Refusal {
  status: number
  code: string
  message: string
  fix: string
  /** The value of WWW-Authenticate, which is required with 401 (RFC 9110, section 11.6.1). */
  challenge?: string
}

/** Refuses a call whose path matches no template. It was not checked, and has no row. */
export const unknownPath: Refusal = {
  status: 403,
  code: 'unknown_path',
  message: 'The path names no agent of a known type',
  fix: 'Check the path of the request',
}

/** Refuses a call that could not be checked. */
export const unavailable: Refusal = {
  status: 503,
  code: 'unavailable',
  message: 'The API key could not be checked',
  fix: 'Send the request again later',
}

/** denied returns the refusal of a denied call. */
export function denied(check: components['schemas']['CheckResponse'], challenge: string): Refusal {
  const { code = '', message = '', fix = '' } = check.denial ?? {}
  const status = check.httpStatus
  return { status, code, message, fix, ...(status === 401 && { challenge }) }
}

export function headersOf({ challenge }: Refusal): Record<string, string> {
  return { 'Content-Type': 'application/json', ...(challenge && { 'WWW-Authenticate': challenge }) }
}

/** bodyOf returns the body of the response, in JSON. */
export function bodyOf({ code, message, fix }: Refusal): string {
  return JSON.stringify({ error: { code, message, fix } })
}
