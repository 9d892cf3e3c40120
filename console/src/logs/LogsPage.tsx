import type { Route } from '../route'

export function LogsPage({ route }: { route: Route }) {
  return <h1>Request Logs of {route.workspace}</h1>
}
