import type { IncomingCall } from './call.js'

/** The header in which only a bearer token with the prefix of a secret is one. The backend may use other tokens itself. */
const bearerHeader = 'authorization'

/** Secrets reads the caller's secret from the headers that may have it. */
export class Secrets {
  /** The value of WWW-Authenticate. The scheme ApiKey is not registered; it makes no browser ask for a password. */
  readonly challenge: string
  readonly #headers: readonly string[]

  constructor(headers: readonly string[] = ['api-key', bearerHeader]) {
    this.#headers = headers.map((name) => name.toLowerCase())
    const [first] = this.#headers
    if (!first) throw new TypeError('apiKeyHeaders: no header is named')
    this.challenge = first === bearerHeader ? 'Bearer realm="api"' : `ApiKey realm="api", header="${first}"`
  }

  of(call: IncomingCall): string {
    for (const name of this.#headers) {
      const value = call.header(name) ?? ''
      const secret = name === bearerHeader ? (/^bearer +(sk_.*)$/i.exec(value)?.[1] ?? '') : value
      if (secret) return secret
    }
    return ''
  }
}
