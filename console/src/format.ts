// How values are written for people. Times are local; see ui/Time for UTC.

const number = new Intl.NumberFormat('en')
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' })
const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'long' })
const dayWithYear = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'long', year: 'numeric' })
const shortDate = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' })
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' })

/** count writes 1,284. */
export const count = (n: number): string => number.format(n)

/** plural writes "1 key" and "1,284 keys". */
export const plural = (n: number, one: string, many = `${one}s`): string => `${count(n)} ${n === 1 ? one : many}`

/** latency writes milliseconds in the unit that people say: 4.1 ms, 182 ms, 1.24 s, 2 min 5 s. */
export function latency(ms: number | undefined): string {
  if (ms === undefined) return '–'
  if (ms < 0.1) return '< 0.1 ms'
  if (ms < 9.95) return `${ms.toFixed(1)} ms`
  if (ms < 999.5) return `${Math.round(ms)} ms`
  if (ms < 9_995) return `${(ms / 1000).toFixed(2)} s`
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`
  return span(ms)
}

/** span writes a length of time in its largest one or two units: 58 min, 21 h, 6 days, 2 min 5 s. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 60) return `${seconds} s`
  if (seconds < 600 && seconds % 60 !== 0) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 120) return `${minutes} min`
  const hours = Math.round(minutes / 60)
  if (hours < 48) return `${hours} h`
  return `${Math.round(hours / 24)} days`
}

/** ago writes "3 minutes ago", "in 6 days", "now". */
export function ago(time: Date, now: number): string {
  const seconds = Math.round((time.getTime() - now) / 1000)
  const size = Math.abs(seconds)
  if (size < 60) return size < 2 ? 'now' : relative.format(seconds, 'second')
  if (size < 3_600) return relative.format(Math.trunc(seconds / 60), 'minute')
  if (size < 86_400) return relative.format(Math.trunc(seconds / 3_600), 'hour')
  return relative.format(Math.trunc(seconds / 86_400), 'day')
}

/** timeOfDay writes 14:02:11. */
export const timeOfDay = (time: Date): string => clock.format(time)

/** date writes 24 Nov 2026. */
export const date = (time: Date): string => shortDate.format(time)

/** dayHeading writes "Today, 24 November", "Yesterday, 23 November", "22 November"; other years are named. */
export function dayHeading(time: Date, now: number): string {
  const today = new Date(now)
  const yesterday = new Date(today.getFullYear(), today.getMonth(), today.getDate() - 1)
  if (sameDay(time, today)) return `Today, ${day.format(time)}`
  if (sameDay(time, yesterday)) return `Yesterday, ${day.format(time)}`
  return time.getFullYear() === today.getFullYear() ? day.format(time) : dayWithYear.format(time)
}

/** dayKey is equal for times of one local day. */
export const dayKey = (time: Date): string => `${time.getFullYear()}-${time.getMonth()}-${time.getDate()}`

const sameDay = (a: Date, b: Date): boolean => dayKey(a) === dayKey(b)

/** local writes 24 Nov 2026, 14:02:11. */
export const local = (time: Date): string => `${date(time)}, ${timeOfDay(time)}`

/** localExact writes 24 Nov 2026, 14:02:11.204. */
export const localExact = (time: Date): string => `${local(time)}.${String(time.getMilliseconds()).padStart(3, '0')}`

/** utc writes 2026-11-24 14:02:11.204. */
export const utc = (time: Date): string => time.toISOString().replace('T', ' ').replace('Z', '')

/** utcExact writes 2026-11-24 14:02:11.204 UTC. */
export const utcExact = (time: Date): string => `${utc(time)} UTC`

/** seconds reads a duration as the API writes it ("2592000s"), in seconds. */
export const seconds = (duration: string): number => Number.parseFloat(duration)

/** isolate marks a text of users within a sentence that cannot have elements, so that its direction changes nothing beside it. */
export const isolate = (text: string): string => `\u2068${text}\u2069`
