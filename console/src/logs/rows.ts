// The rows of the list, newest first, each once.
import type { RequestLog } from '../api/types'
import { dayKey } from '../format'

// A row is sent again when it changes. As in the log service, a reported row is newer than a denied one, and that than one in
// progress.
function rank(row: RequestLog): number {
  if (row.latencyMs !== undefined) return 2
  return row.status !== 0 ? 1 : 0
}

const newer = (a: RequestLog, b: RequestLog): RequestLog => (rank(b) >= rank(a) ? b : a)

/** merge adds rows to rows. Ids sort by time. */
export function merge(rows: readonly RequestLog[], added: readonly RequestLog[]): RequestLog[] {
  if (added.length === 0) return [...rows]
  // The next page: nothing is to be sorted.
  if (rows.length > 0 && added[0]!.id < rows.at(-1)!.id) return [...rows, ...added]
  const byId = new Map(rows.map((row) => [row.id, row]))
  for (const row of added) {
    const known = byId.get(row.id)
    byId.set(row.id, known ? newer(known, row) : row)
  }
  return [...byId.values()].sort((a, b) => (a.id < b.id ? 1 : a.id > b.id ? -1 : 0))
}

/** update replaces the rows that are there already, and returns the others apart. */
export function update(rows: readonly RequestLog[], added: readonly RequestLog[]): { rows: RequestLog[]; others: RequestLog[] } {
  const changed = new Map(added.map((row) => [row.id, row]))
  const updated = rows.map((row) => {
    const change = changed.get(row.id)
    if (!change) return row
    changed.delete(row.id)
    return newer(row, change)
  })
  return { rows: updated, others: [...changed.values()] }
}

export type Item = { kind: 'day'; time: Date; key: string } | { kind: 'row'; row: RequestLog; key: string }

/** withDays puts a heading before the first row of each local day. */
export function withDays(rows: readonly RequestLog[]): Item[] {
  const items: Item[] = []
  let last = ''
  for (const row of rows) {
    const time = new Date(row.time)
    const day = dayKey(time)
    if (day !== last) items.push({ kind: 'day', time, key: day })
    last = day
    items.push({ kind: 'row', row, key: row.id })
  }
  return items
}
