// What a key is now, and which keys a search finds.
import type { Key } from '../api/types'

const day = 86_400_000
const clockSkewMs = 2_000 // between the service and the browser
export const soonDays = 14
export const justExpiredDays = 7

export type State = 'enabled' | 'soon' | 'expired' | 'disabled'

/** stateOf returns the state of a key. Of a key that is disabled and expired, it is `disabled`: calls are denied with that. */
export function stateOf(key: Key, now: number): State {
  if (key.disabled) return 'disabled'
  const left = timeLeft(key, now)
  if (left <= 0) return 'expired'
  return left <= soonDays * day ? 'soon' : 'enabled'
}

/** justExpired reports whether a key that is not disabled expired within the last days. */
export const justExpired = (key: Key, now: number): boolean =>
  stateOf(key, now) === 'expired' && timeLeft(key, now) > -justExpiredDays * day

const timeLeft = (key: Key, now: number): number => (key.expireTime ? Date.parse(key.expireTime) - now : Infinity)

/** oldSecretEnd returns when the last of the earlier secrets ends; undefined if none passes any more. */
export function oldSecretEnd(key: Key, now: number): Date | undefined {
  const ends = key.secrets.slice(1).map((secret) => Date.parse(secret.expireTime ?? key.expireTime ?? ''))
  const last = Math.max(...ends.filter((end) => end > now + clockSkewMs))
  return Number.isFinite(last) ? new Date(last) : undefined
}

export type StateFilter = '' | State | 'attention'

/** stateFilters are the values of the filter by state, with their labels. */
export const stateFilters: ReadonlyArray<{ value: StateFilter; label: string }> = [
  { value: '', label: 'All' },
  { value: 'enabled', label: 'Enabled' },
  { value: 'soon', label: 'Expires soon' },
  { value: 'attention', label: 'Expires soon or just expired' },
  { value: 'expired', label: 'Expired' },
  { value: 'disabled', label: 'Disabled' },
]

export interface Filters {
  text: string
  state: StateFilter
  owner: string
}

/** filtersOf reads the filters from the address. */
export function filtersOf(query: URLSearchParams): Filters {
  const state = stateFilters.find((f) => f.value === query.get('state'))?.value ?? ''
  return { text: query.get('q') ?? '', state, owner: query.get('owner') ?? '' }
}

/** matching returns the keys that pass the filters: as the list of the API does, in upper and lower case, by name or last 4. */
export function matching(keys: readonly Key[], filters: Filters, now: number): Key[] {
  const text = filters.text.trim().toLowerCase()
  return keys.filter(
    (key) =>
      (filters.owner === '' || key.externalId === filters.owner) &&
      hasState(key, filters.state, now) &&
      (text === '' || key.name.toLowerCase().includes(text) || key.secrets.some((s) => s.last4.toLowerCase() === text)),
  )
}

function hasState(key: Key, filter: StateFilter, now: number): boolean {
  const state = stateOf(key, now)
  switch (filter) {
    case '':
      return true
    case 'enabled':
      return state === 'enabled' || state === 'soon'
    case 'attention':
      return state === 'soon' || justExpired(key, now)
    default:
      return state === filter
  }
}
