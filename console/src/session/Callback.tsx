import { useEffect, useState } from 'preact/hooks'
import { navigate } from '../route'
import { loadConfig } from './config'
import { SignIn } from './SignIn'
import { startSession } from './token'

/** Callback is the page that the issuer sends back to. */
export function Callback() {
  const [failed, setFailed] = useState(false)
  useEffect(() => {
    finish().catch((error: unknown) => {
      console.error('signing in:', error)
      navigate('/', 'replace')
      setFailed(true)
    })
  }, [])
  return failed ? <SignIn problem="Signing in was not completed. Try again." /> : null
}

async function finish(): Promise<void> {
  const [config, oidc] = await Promise.all([loadConfig(), import('./oidc')])
  const { token, address } = await oidc.finishSignIn(config)
  startSession(token)
  navigate(address, 'replace')
}
