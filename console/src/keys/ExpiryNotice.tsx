import type { Key } from '../api/types'
import { plural } from '../format'
import { setQuery } from '../route'
import { useNow } from '../ui/Time'
import { justExpired, justExpiredDays, soonDays, stateOf } from './keyState'

/** ExpiryNotice says how many keys expire soon or have just expired, and shows them at one click. */
export function ExpiryNotice({ keys }: { keys: readonly Key[] }) {
  const now = useNow(60_000)
  const soon = keys.filter((key) => stateOf(key, now) === 'soon').length
  const expired = keys.filter((key) => justExpired(key, now)).length
  if (soon + expired === 0) return null
  const parts = [
    soon > 0 && `${plural(soon, 'key')} ${soon === 1 ? 'expires' : 'expire'} within ${soonDays} days`,
    expired > 0 && `${plural(expired, 'key')} expired in the last ${justExpiredDays} days`,
  ]
  return (
    <div class="note warning expiry-notice">
      <span>{parts.filter(Boolean).join(', ')}.</span>
      <button type="button" class="link" onClick={() => setQuery({ state: 'attention', q: '', owner: '' })}>
        Show {soon + expired === 1 ? 'it' : 'them'}
      </button>
    </div>
  )
}
