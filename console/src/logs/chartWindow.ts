// Which times the histogram shows.
import type { TimeRange } from './filters'

const hour = 3_600_000
const shortest = 24 * hour // a shorter range is shown within its surroundings: its buckets would be too few to read
const mostBars = 96
const bucketHours = [1, 2, 3, 4, 6, 8, 12, 24, 48, 96, 168]

export interface ChartWindow {
  /** In milliseconds since 1970. */
  start: number
  end: number
  /** The length of a bucket in milliseconds. */
  bucket: number
  /** The selected range, where it is a part of the window. */
  selected: { from: number; to: number } | undefined
  /** What to summarize. */
  range: TimeRange
}

export function chartWindow(range: TimeRange, retention: number, now: number): ChartWindow {
  const oldest = now - retention
  const from = Math.max(range.last ? now - range.last : range.from || oldest, oldest)
  const to = Math.max(range.to || now, from + 1)
  if (to - from >= Math.min(shortest, retention)) return { ...sized(from, to), selected: undefined, range }
  const end = Math.min(Math.max((from + to + shortest) / 2, from + shortest / 2), now)
  const wide = sized(Math.max(end - shortest, oldest), end)
  return { ...wide, selected: { from, to }, range: { last: 0, from: wide.start, to: end < now ? end : 0 } }
}

function sized(from: number, to: number) {
  const hours = bucketHours.find((h) => (to - from) / (h * hour) <= mostBars) ?? bucketHours.at(-1)!
  const bucket = hours * hour
  // Buckets begin at multiples of their length.
  return { start: Math.floor(from / bucket) * bucket, end: to, bucket }
}
