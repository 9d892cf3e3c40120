// The session of this tab, for every component.
import { createContext } from 'preact'
import { useContext, useEffect, useState } from 'preact/hooks'
import { api, ok } from '../api/client'
import type { Session } from '../api/types'
import { useLoad, type Loaded } from '../api/useLoad'
import { currentToken, endSession, onSession } from './token'

const longestTimerMs = 2 ** 31 - 1 // of setTimeout

/** useToken returns the token of this tab; empty while signed out. */
export function useToken(): string {
  const [token, setToken] = useState(currentToken)
  useEffect(() => onSession(() => setToken(currentToken())), [])
  return token
}

/** useLoadSession loads the session of a token, and ends it when the token ends. */
export function useLoadSession(token: string): Loaded<Session> {
  const loaded = useLoad((signal) => ok(api.GET('/v1/session', { params: { query: { pageSize: 1000 } }, signal })), [token])
  const session = loaded.value
  useEffect(() => {
    if (!session) return
    const left = new Date(session.expireTime).getTime() - Date.now()
    if (left > longestTimerMs) return
    const timer = setTimeout(() => endSession('ended'), Math.max(left, 0))
    return () => clearTimeout(timer)
  }, [session])
  return loaded
}

const Context = createContext<Session | undefined>(undefined)
export const SessionProvider = Context.Provider

/** useSession returns the session; undefined while it is loading. */
export const useSession = (): Session | undefined => useContext(Context)

/** useIsAdmin reports whether the token may change keys. */
export const useIsAdmin = (): boolean => useSession()?.role === 'admin'
