// Sign-in at an OpenID Connect issuer: authorization code with PKCE. Loaded when it is used.
import * as oauth from 'oauth4webapi'
import type { Config } from './config'

const storageKey = 'keytrail.sign-in'
const audience = 'keytrail' // of the tokens that Keytrail accepts

interface Pending {
  verifier: string
  state: string
  nonce: string
  /** Where to go back to. */
  address: string
}

const redirectUri = (): string => `${location.origin}/console/callback`

/** beginSignIn leaves the console for the issuer. */
export async function beginSignIn(config: Config): Promise<void> {
  const server = await discover(config)
  if (!server.authorization_endpoint) throw new Error('the issuer has no authorization endpoint')
  const pending: Pending = {
    verifier: oauth.generateRandomCodeVerifier(),
    state: oauth.generateRandomState(),
    nonce: oauth.generateRandomNonce(),
    address: location.pathname + location.search,
  }
  sessionStorage.setItem(storageKey, JSON.stringify(pending))
  const url = new URL(server.authorization_endpoint)
  url.search = new URLSearchParams({
    ...Object.fromEntries(url.searchParams),
    client_id: config.clientId,
    redirect_uri: redirectUri(),
    response_type: 'code',
    scope: config.scope,
    audience,
    state: pending.state,
    nonce: pending.nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(pending.verifier),
    code_challenge_method: 'S256',
  }).toString()
  location.assign(url)
}

/** finishSignIn exchanges the code that the issuer sent back with, for a token. */
export async function finishSignIn(config: Config): Promise<{ token: string; address: string }> {
  const stored = sessionStorage.getItem(storageKey)
  if (!stored) throw new Error('this tab has not begun to sign in')
  sessionStorage.removeItem(storageKey)
  const pending = JSON.parse(stored) as Pending
  const server = await discover(config)
  const client: oauth.Client = { client_id: config.clientId }
  const parameters = oauth.validateAuthResponse(server, client, new URL(location.href), pending.state)
  const response = await oauth.authorizationCodeGrantRequest(
    server,
    client,
    oauth.None(),
    parameters,
    redirectUri(),
    pending.verifier,
    insecure(config),
  )
  const tokens = await oauth.processAuthorizationCodeResponse(server, client, response, {
    expectedNonce: pending.nonce,
    requireIdToken: true,
  })
  return { token: forKeytrail(tokens), address: pending.address }
}

// forKeytrail returns the token whose audience is Keytrail. Issuers that know APIs put it in the access token; at others the
// console's client id is `keytrail`, and it is the ID token.
function forKeytrail(tokens: oauth.TokenEndpointResponse): string {
  const claims = oauth.getValidatedIdTokenClaims(tokens)
  return [claims?.aud].flat().includes(audience) ? tokens.id_token! : tokens.access_token
}

async function discover(config: Config): Promise<oauth.AuthorizationServer> {
  const issuer = new URL(config.issuer)
  return oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, insecure(config)))
}

// insecure allows plaintext for issuers on this machine, as the services do.
const insecure = ({ issuer }: Config) => ({ [oauth.allowInsecureRequests]: new URL(issuer).protocol === 'http:' })
