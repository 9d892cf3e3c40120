import { useEffect, useState } from 'preact/hooks'
import { ago, localExact, utcExact } from '../format'

/** Time shows a time; hovering shows it in UTC to the millisecond. */
export function Time({ value, show }: { value: Date; show: string }) {
  return (
    <time dateTime={value.toISOString()} title={utcExact(value)}>
      {show}
    </time>
  )
}

/** Ago shows how long ago, or in how long, a time is, and keeps it current; hovering shows the time itself. */
export function Ago({ value }: { value: Date }) {
  const now = useNow()
  return (
    <time dateTime={value.toISOString()} title={`${localExact(value)} (${utcExact(value)})`}>
      {ago(value, now)}
    </time>
  )
}

/** useNow returns the current time in milliseconds, and renders again every `everyMs`. */
export function useNow(everyMs = 10_000): number {
  const [, setNow] = useState(0)
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs)
    return () => clearInterval(timer)
  }, [everyMs])
  // Not the time of the last tick: what has just happened would be in the future.
  return Date.now()
}
