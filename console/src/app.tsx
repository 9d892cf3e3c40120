import { useEffect } from 'preact/hooks'
import { CatalogProvider } from './catalog'
import { LogsPage } from './logs/LogsPage'
import { href, navigate, useRoute, type Route } from './route'
import { Callback } from './session/Callback'
import { SessionProvider, useLoadSession, useToken } from './session/session'
import { SignIn } from './session/SignIn'
import { NoWorkspace, WrongRole } from './shell/NoPage'
import { Shell } from './shell/Shell'
import { lazy, loadStylesheet } from './ui/lazy'
import { ErrorNote } from './ui/states'
import { Toasts } from './ui/toast'

const KeysPage = lazy(() => Promise.all([import('./keys/KeysPage'), loadStylesheet('keys')]).then(([module]) => module.KeysPage))

export function App() {
  const route = useRoute()
  const token = useToken()
  return (
    <>
      {location.pathname === '/console/callback' ? (
        <Callback />
      ) : token ? (
        <SignedIn key={token} token={token} route={route} />
      ) : (
        <SignIn />
      )}
      <Toasts />
    </>
  )
}

// The page is shown before the session is known, so that both load at the same time.
function SignedIn({ token, route }: { token: string; route: Route }) {
  const { value: session, error, retry } = useLoadSession(token)
  const first = session && firstOf(session.workspaceIds)
  useEffect(() => {
    if (route.workspace === '' && first) navigate(href(first, route.page), 'replace')
  }, [route.workspace, first])
  const mayRead = !session || session.role === 'viewer' || session.role === 'admin'
  return (
    <SessionProvider value={session}>
      <CatalogProvider>
        <Shell route={route}>
          {error && (!error.away || route.workspace === '') && (
            <ErrorNote error={error} what="Your session cannot be loaded" retry={retry} />
          )}
          {!mayRead && <WrongRole role={session.role} />}
          {mayRead && route.workspace !== '' && <CurrentPage key={route.workspace} route={route} />}
          {mayRead && route.workspace === '' && session && !first && <NoWorkspace all={session.allWorkspaces} />}
        </Shell>
      </CatalogProvider>
    </SessionProvider>
  )
}

// firstOf returns the workspace to begin with: that of calls without a workspace sorts first, and has no keys.
const firstOf = (ids: string[]) => ids.find((id) => id !== '_unattributed') ?? ids[0]

function CurrentPage({ route }: { route: Route }) {
  useEffect(() => {
    document.title = `${route.page === 'api-keys' ? 'API Keys' : 'Request Logs'} · ${route.workspace} · Keytrail`
  }, [route.page, route.workspace])
  return route.page === 'api-keys' ? <KeysPage route={route} /> : <LogsPage route={route} />
}
