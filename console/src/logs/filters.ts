// What the page shows, as the query of its address has it.
import type { operations } from '../api/schema'

export type StatusClass = '2xx' | '4xx' | '5xx' | 'in_progress'

export interface Filters {
  /** Empty = all, as everywhere here. */
  status: StatusClass | ''
  key: string
  endpoint: string
  code: string
  method: string
  agentType: string
  agentId: string
  range: TimeRange
}

/** TimeRange is the last `last` milliseconds, or from `from` to `to` (milliseconds since 1970); 0 = open. */
export interface TimeRange {
  last: number
  from: number
  to: number
}

export type FilterName = 'status' | 'key' | 'endpoint' | 'code' | 'method' | 'type' | 'agent' | 'time'

export const statuses: ReadonlyArray<{ value: StatusClass | ''; label: string }> = [
  { value: '', label: 'All statuses' },
  { value: '2xx', label: '2xx Success' },
  { value: '4xx', label: '4xx Client error' },
  { value: '5xx', label: '5xx Server error' },
  { value: 'in_progress', label: 'In progress' },
]

const hour = 3_600_000
export const ranges: ReadonlyArray<{ value: string; label: string; ms: number }> = [
  { value: '1h', label: 'Last hour', ms: hour },
  { value: '24h', label: 'Last 24 hours', ms: 24 * hour },
  { value: '7d', label: 'Last 7 days', ms: 7 * 24 * hour },
]

export function readFilters(query: URLSearchParams): Filters {
  const get = (name: string) => query.get(name) ?? ''
  const status = get('status')
  return {
    status: statuses.some((s) => s.value === status) ? (status as StatusClass) : '',
    key: get('key'),
    endpoint: get('endpoint'),
    code: get('code'),
    method: get('method'),
    agentType: get('type'),
    agentId: get('agent'),
    range: {
      last: ranges.find((r) => r.value === get('last'))?.ms ?? 0,
      from: Date.parse(get('from')) || 0,
      to: Date.parse(get('to')) || 0,
    },
  }
}

/** without is the query that removes a filter. */
export function without(name: FilterName): Record<string, string> {
  return name === 'time' ? { last: '', from: '', to: '' } : { [name]: '' }
}

export const noFilters: Record<string, string> = {
  status: '',
  key: '',
  endpoint: '',
  code: '',
  method: '',
  type: '',
  agent: '',
  last: '',
  from: '',
  to: '',
}

/** activeFilters lists the filters that are set. */
export function activeFilters(f: Filters): FilterName[] {
  const set: Array<[FilterName, unknown]> = [
    ['status', f.status],
    ['key', f.key],
    ['endpoint', f.endpoint],
    ['code', f.code],
    ['method', f.method],
    ['type', f.agentType],
    ['agent', f.agentId],
    ['time', f.range.last || f.range.from || f.range.to],
  ]
  return set.filter(([, value]) => value).map(([name]) => name)
}

type Query = NonNullable<operations['summarizeRequestLogs']['parameters']['query']>

/** filterParams are the filters as the API has them, without the times. */
export function filterParams(f: Filters): Query {
  return dropEmpty({
    statusClass: f.status || undefined,
    keyId: f.key,
    endpoint: f.endpoint,
    errorCode: f.code,
    agentType: f.agentType,
    agentId: f.agentId,
    method: f.method,
  })
}

/** timeParams are the times of a range as the API has them. */
export function timeParams(range: TimeRange, now: number): Query {
  const from = range.last ? now - range.last : range.from
  return dropEmpty({
    startTime: from ? new Date(from).toISOString() : '',
    endTime: range.to ? new Date(range.to).toISOString() : '',
  })
}

function dropEmpty(params: Query): Query {
  return Object.fromEntries(Object.entries(params).filter(([, value]) => value))
}

/** exportCommand writes the matching rows to a file; one flag a line. */
export function exportCommand(workspace: string, f: Filters, now: number): string {
  const times = timeParams(f.range, now)
  const flags: Array<[string, string | undefined]> = [
    ['workspace', workspace],
    ['format', 'csv'],
    ['status-class', f.status],
    ['key', f.key],
    ['endpoint', f.endpoint],
    ['error-code', f.code],
    ['agent-type', f.agentType],
    ['agent-id', f.agentId],
    ['method', f.method],
    ['since', times.startTime],
    ['until', times.endTime],
    ['out', 'request-logs.csv'],
  ]
  const written = flags.filter(([, value]) => value).map(([flag, value]) => `--${flag} ${quote(value!)}`)
  return ['keytrail logs export', ...written].join(' \\\n  ')
}

/** quote quotes a word for a POSIX shell, where it needs to be. */
function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
