// Calls in progress are looked up again, while no stream brings their reports.
import { useEffect, useRef } from 'preact/hooks'
import type { Logs } from './useLogs'

const everyMs = 10_000
const longestMs = 15 * 60_000 // what is not reported by then rarely is

/** useProgress refreshes calls in progress while `enabled`, and when the user comes back to the tab. */
export function useProgress(logs: Logs, enabled: boolean): void {
  const latest = useRef(logs)
  latest.current = logs
  useEffect(() => {
    if (!enabled) return
    const look = () => {
      const { rows, refresh } = latest.current
      const times = rows.filter((row) => row.status === 0).map((row) => Date.parse(row.time))
      const recent = times.filter((time) => time > Date.now() - longestMs)
      if (document.hidden || recent.length === 0) return
      const [newest, oldest] = [recent[0]!, recent.at(-1)!]
      // Times of rows have more digits than these.
      refresh(new Date(oldest).toISOString(), new Date(newest + 1).toISOString()).catch(() => undefined)
    }
    const timer = setInterval(look, everyMs)
    document.addEventListener('visibilitychange', look)
    return () => {
      clearInterval(timer)
      document.removeEventListener('visibilitychange', look)
    }
  }, [enabled])
}
