// What the token of this tab is good for, for every component.
import { createContext } from 'preact'
import { useContext, useEffect, useState } from 'preact/hooks'
import { api, ok } from '../api/client'
import { aborted, asApiError, type ApiError } from '../api/error'
import type { Session } from '../api/types'
import { currentToken, endSession, onSession } from './token'

export interface SessionState {
  /** Undefined until it is loaded. */
  session: Session | undefined
  error: ApiError | undefined
  retry: () => void
}

/** useToken returns the token of this tab; empty if nobody is signed in. */
export function useToken(): string {
  const [token, setToken] = useState(currentToken)
  useEffect(() => onSession(() => setToken(currentToken())), [])
  return token
}

/** useLoadSession loads the session of a token, and ends it when the token ends. */
export function useLoadSession(token: string): SessionState {
  const [state, setState] = useState<{ session?: Session; error?: ApiError }>({})
  const [attempt, setAttempt] = useState(0)
  useEffect(() => {
    setState({})
    if (token === '') return
    const abort = new AbortController()
    ok(api.GET('/v1/session', { params: { query: { pageSize: 1000 } }, signal: abort.signal })).then(
      (session) => setState({ session }),
      (error: unknown) => aborted(error) || setState({ error: asApiError(error) }),
    )
    return () => abort.abort()
  }, [token, attempt])
  useEffect(() => {
    if (!state.session) return
    const left = new Date(state.session.expireTime!).getTime() - Date.now()
    // Longer timers overflow.
    const timer = setTimeout(() => endSession('ended'), Math.min(Math.max(left, 0), 2 ** 31 - 1))
    return () => clearTimeout(timer)
  }, [state.session])
  return { session: state.session, error: state.error, retry: () => setAttempt(attempt + 1) }
}

const Context = createContext<Session | undefined>(undefined)
export const SessionProvider = Context.Provider

/** useSession returns the session; undefined while it is loading. */
export const useSession = (): Session | undefined => useContext(Context)

/** useIsAdmin reports whether the token may change keys. */
export const useIsAdmin = (): boolean => useSession()?.role === 'admin'
