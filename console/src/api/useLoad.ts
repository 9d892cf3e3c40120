import { useEffect, useRef, useState } from 'preact/hooks'
import { aborted, asApiError, type ApiError } from './error'

const againMs = 10_000 // until a load that failed is tried again, if it may succeed then

export interface Loaded<T> {
  /** Undefined until it is loaded, and after an error. */
  value: T | undefined
  error: ApiError | undefined
  retry: () => void
}

/** useLoad loads something when `inputs` change. While the service is away it tries again by itself. */
export function useLoad<T>(load: (signal: AbortSignal) => Promise<T>, inputs: readonly unknown[]): Loaded<T> {
  const [state, setState] = useState<{ value?: T; error?: ApiError }>({})
  const [attempt, setAttempt] = useState(0)
  const latest = useRef(load)
  latest.current = load
  useEffect(() => setState({}), inputs)
  useEffect(() => {
    const abort = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    latest.current(abort.signal).then(
      (value) => setState({ value }),
      (reason: unknown) => {
        if (aborted(reason)) return
        const error = asApiError(reason)
        setState({ error })
        if (error.away) timer = setTimeout(() => setAttempt((n) => n + 1), againMs)
      },
    )
    return () => {
      abort.abort()
      clearTimeout(timer)
    }
  }, [...inputs, attempt])
  return { value: state.value, error: state.error, retry: () => setAttempt((n) => n + 1) }
}
