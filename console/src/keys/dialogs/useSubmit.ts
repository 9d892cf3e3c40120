import { useEffect, useRef, useState } from 'preact/hooks'

export interface Submit {
  /** Whether a change is on its way. */
  busy: boolean
  /** What the last try threw. */
  error: unknown
  submit: (change: () => Promise<void>) => void
}

/** useSubmit runs one change at a time. */
export function useSubmit(): Submit {
  const [state, setState] = useState<{ busy: boolean; error?: unknown }>({ busy: false })
  const alive = useRef(true)
  useEffect(() => () => void (alive.current = false), [])
  const submit = (change: () => Promise<void>) => {
    if (state.busy) return
    setState({ busy: true })
    change().then(
      () => alive.current && setState({ busy: false }),
      (error: unknown) => alive.current && setState({ busy: false, error }),
    )
  }
  return { busy: state.busy, error: state.error, submit }
}
