// The page of whoever is not signed in. It leaves the address as it is, so that signing in leads to the same view.
import { useEffect, useState } from 'preact/hooks'
import { Logo } from '../ui/icons'
import { loadConfig, type Config } from './config'
import { currentToken, signedOutReason, startSession, type SignedOut } from './token'

const reasons: Record<SignedOut, string> = {
  none: '',
  ended: 'Your token has ended or is not accepted any more. Sign in again to go on where you were.',
  left: 'You have signed out.',
}

/** SignIn asks for a token, or leads to the issuer where one is configured. `problem` says what failed before. */
export function SignIn({ problem = '' }: { problem?: string }) {
  const [config, setConfig] = useState<Config>()
  const [failure, setFailure] = useState(problem)
  useEffect(() => {
    loadConfig().then(setConfig, () => setFailure('The service cannot be reached. Reload the page to try again.'))
  }, [])
  const withIssuer = Boolean(config?.issuer && config.clientId)
  return (
    <main class="sign-in">
      <div class="brand">
        <Logo />
        Keytrail
      </div>
      <h1>Sign in</h1>
      {!failure && reasons[signedOutReason()] && <p class="quiet">{reasons[signedOutReason()]}</p>}
      {failure && (
        <p class="note error" role="alert">
          {failure}
        </p>
      )}
      {config && withIssuer && <IssuerButton config={config} onFailure={setFailure} />}
      <TokenForm primary={!withIssuer} onFailure={setFailure} />
    </main>
  )
}

function IssuerButton({ config, onFailure }: { config: Config; onFailure: (text: string) => void }) {
  const begin = () =>
    import('./oidc')
      .then((oidc) => oidc.beginSignIn(config))
      .catch((error: unknown) => {
        console.error('signing in:', error)
        onFailure(`Signing in at ${new URL(config.issuer).host} is not possible now. Try again in a moment.`)
      })
  return (
    <button type="button" class="button primary" onClick={begin}>
      Sign in at {new URL(config.issuer).host}
    </button>
  )
}

function TokenForm({ primary, onFailure }: { primary: boolean; onFailure: (text: string) => void }) {
  const [token, setToken] = useState('')
  const submit = (event: Event) => {
    event.preventDefault()
    startSession(token)
    if (currentToken() === '') onFailure('This is not a token. Copy all of it, and nothing else.')
  }
  return (
    <form class="field" onSubmit={submit}>
      <label for="token">Token</label>
      <input
        id="token"
        class="input mono"
        type="password"
        autocomplete="off"
        spellcheck={false}
        value={token}
        onInput={(event) => setToken(event.currentTarget.value)}
      />
      <span class="hint">
        Make one where Keytrail runs:
        <br />
        <code>keytrail token create --role viewer --workspace WORKSPACE</code>
      </span>
      <button type="submit" class={primary ? 'button primary' : 'button'} disabled={!token.trim()}>
        Use this token
      </button>
    </form>
  )
}
