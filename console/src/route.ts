// The address bar as state. A page reads its parameters from the query and writes them back.
import { useEffect, useState } from 'preact/hooks'

export type Page = 'request-logs' | 'api-keys'

export interface Route {
  /** Empty at `/`. */
  workspace: string
  page: Page
  query: URLSearchParams
}

const pattern = /^\/workspaces\/([^/]+)\/(request-logs|api-keys)$/
const listeners = new Set<() => void>()

function currentRoute(): Route {
  const match = pattern.exec(location.pathname)
  return {
    workspace: decoded(match?.[1] ?? ''),
    page: (match?.[2] ?? 'request-logs') as Page,
    query: new URLSearchParams(location.search),
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return '' // a link that was cut within an escape
  }
}

/** href is the address of a page. Empty parameters are left out. */
export function href(workspace: string, page: Page, query: Record<string, string> = {}): string {
  const params = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== ''))
  const search = params.size > 0 ? `?${params}` : ''
  return `/workspaces/${encodeURIComponent(workspace)}/${page}${search}`
}

/** navigate goes to an address of the console. `replace` makes no new entry in the history: for text that is being typed. */
export function navigate(address: string, how: 'push' | 'replace' = 'push'): void {
  const from = location.pathname + location.search
  if (address === from) return
  if (how === 'push') history.pushState({ from }, '', address)
  else history.replaceState(history.state, '', address)
  notify()
}

/** cameFrom returns the address from which the current one was reached within the console; empty if from elsewhere. */
export const cameFrom = (): string => (history.state as { from?: string } | null)?.from ?? ''

/** setQuery changes parameters of the current page; an empty value removes one. */
export function setQuery(changes: Record<string, string>, how: 'push' | 'replace' = 'push'): void {
  const query = new URLSearchParams(location.search)
  for (const [name, value] of Object.entries(changes)) {
    if (value === '') query.delete(name)
    else query.set(name, value)
  }
  navigate(location.pathname + (query.size > 0 ? `?${query}` : ''), how)
}

export function useRoute(): Route {
  const [route, setRoute] = useState(currentRoute)
  useEffect(() => {
    const listener = () => setRoute(currentRoute())
    listeners.add(listener)
    addEventListener('popstate', listener)
    listener()
    return () => {
      listeners.delete(listener)
      removeEventListener('popstate', listener)
    }
  }, [])
  return route
}

/** followLink is a click handler for links within the console. Clicks that open another tab are left to the browser. */
export function followLink(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
  event.preventDefault()
  navigate((event.currentTarget as HTMLAnchorElement).getAttribute('href')!)
}

function notify(): void {
  for (const listener of listeners) listener()
}
