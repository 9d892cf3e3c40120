import type { Route } from '../route'

export function KeysPage({ route }: { route: Route }) {
  return <h1>API Keys of {route.workspace}</h1>
}
