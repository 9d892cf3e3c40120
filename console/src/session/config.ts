// What the gateway says about itself at /console/config.json.

export interface Config {
  /** The OpenID Connect issuer to sign in with; empty without one. */
  issuer: string
  /** The console's client id at the issuer. */
  clientId: string
  /** What the console asks the issuer for. */
  scope: string
}

let loaded: Promise<Config> | undefined

/** loadConfig reads the configuration, once. */
export function loadConfig(): Promise<Config> {
  loaded ??= fetch('/console/config.json')
    .then((response) => (response.ok ? response.json() : {}))
    .then((config: Partial<Config>) => ({
      issuer: config.issuer ?? '',
      clientId: config.clientId ?? '',
      scope: config.scope || 'openid',
    }))
    .catch((error: unknown) => {
      loaded = undefined
      throw error
    })
  return loaded
}
