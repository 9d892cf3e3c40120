// The bearer token of this tab. It is kept in session storage: it survives a reload and ends with the tab.

const storageKey = 'keytrail.token'

/** Why there is no session: there was none, its token has ended, or the user has signed out. */
export type SignedOut = 'none' | 'ended' | 'left'

let token = sessionStorage.getItem(storageKey) ?? ''
let reason: SignedOut = 'none'
const listeners = new Set<() => void>()

export const currentToken = (): string => token
export const signedOutReason = (): SignedOut => reason

export function startSession(newToken: string): void {
  token = newToken.trim()
  if (!/^[!-~]+$/.test(token)) return endSession('ended') // no header can have it
  sessionStorage.setItem(storageKey, token)
  notify()
}

export function endSession(why: SignedOut): void {
  token = ''
  reason = why
  sessionStorage.removeItem(storageKey)
  notify()
}

/** onSession calls listener whenever the token changes, until the returned function is called. */
export function onSession(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

function notify(): void {
  for (const listener of listeners) listener()
}

// takeTokenFromAddress accepts a link that signs in (`#token=…`), and removes the token from the address bar and the history.
export function takeTokenFromAddress(): void {
  const fromLink = new URLSearchParams(location.hash.slice(1)).get('token')
  if (!fromLink) return
  history.replaceState(null, '', location.pathname + location.search)
  startSession(fromLink)
}
