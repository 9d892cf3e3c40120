// What is known of the rows of one view, and how it changes.
import type { ApiError } from '../api/error'
import type { components } from '../api/schema'
import type { RequestLog } from '../api/types'
import { merge, update } from './rows'

/** A tab may be live for days: it keeps no more rows than these, unless the user scrolls through them. */
export const mostLive = 10_000

/** The most rows of a page. */
export const pageSize = 200

export type Page = components['schemas']['ListRequestLogsResponse']

export interface LogsState {
  rows: readonly RequestLog[]
  /** New rows that are held back while the user reads further down. */
  held: readonly RequestLog[]
  /** The last page; undefined before the first one. */
  page: Page | undefined
  /** How many times a list was loaded from its beginning. */
  walks: number
  /** Times whose rows cannot be read. */
  unreadable: Page['unreadableRanges']
  loading: boolean
  error: ApiError | undefined
  /** When the rows were last loaded. */
  loadedAt: Date | undefined
  /** When the list was last loaded from its beginning. */
  listedAt: Date | undefined
  /** Whether the last page ended because its search time was over. */
  budgetEnded: boolean
  /** Whether the rows belong to earlier filters. */
  outdated: boolean
}

export const nothing: LogsState = {
  rows: [],
  held: [],
  page: undefined,
  walks: 0,
  unreadable: [],
  loading: true,
  error: undefined,
  loadedAt: undefined,
  listedAt: undefined,
  budgetEnded: false,
  outdated: false,
}

export function afterPage(s: LogsState, page: Page, first: boolean): LogsState {
  return {
    rows: first ? page.requestLogs : merge(s.rows, page.requestLogs),
    held: first ? [] : s.held,
    page,
    walks: first ? s.walks + 1 : s.walks,
    unreadable: first ? page.unreadableRanges : [...s.unreadable, ...page.unreadableRanges],
    loading: false,
    error: undefined,
    loadedAt: new Date(),
    listedAt: first ? new Date() : s.listedAt,
    // A page is short only if the search time was over.
    budgetEnded: page.nextPageToken !== '' && page.requestLogs.length < pageSize,
    outdated: false,
  }
}

/** afterLive adds the rows that match, and removes those that have changed so that they do not match any more. */
export function afterLive(
  s: LogsState,
  rows: readonly RequestLog[],
  matches: (row: RequestLog) => boolean,
  hold: boolean,
): LogsState {
  const matching = rows.filter(matches)
  const gone = new Set(rows.map((row) => row.id))
  for (const row of matching) gone.delete(row.id)
  const kept = (list: readonly RequestLog[]) => (gone.size === 0 ? list : list.filter((row) => !gone.has(row.id)))
  const { rows: updated, others } = update(kept(s.rows), matching)
  if (hold) return { ...s, rows: updated, held: merge(kept(s.held), others).slice(0, mostLive) }
  return { ...s, rows: merge(updated, others), loadedAt: new Date() }
}

/** afterRefresh takes over what has changed of the rows that are there, and removes those that do not match any more. */
export function afterRefresh(s: LogsState, rows: readonly RequestLog[], matches: (row: RequestLog) => boolean): LogsState {
  return { ...s, rows: update(s.rows, rows).rows.filter(matches) }
}

/** afterHold shows the rows that were held back. */
export function afterHold(s: LogsState): LogsState {
  return s.held.length === 0 ? s : { ...s, rows: merge(s.rows, s.held), held: [] }
}
