import type { ApiError } from '../api/error'
import type { Summary } from '../api/types'
import { local, plural } from '../format'
import { total } from './useSummary'

/** Matches is how many calls match. Nothing is read out while it changes by itself. */
export function Matches({ summary, live }: { summary: Summary | undefined; live: boolean }) {
  if (!summary) return null
  const n = total(summary)
  const partial = !summary.complete
  return (
    <span
      class="matches figures"
      role="status"
      aria-live={live ? 'off' : 'polite'}
      title={partial ? `Counted back to ${local(new Date(summary.searchedTo))}` : undefined}
    >
      {plural(n, 'call matches', 'calls match')}
      {partial && ' so far'}
    </span>
  )
}

/** Uncounted stands in place of the numbers that cannot be loaded. */
export function Uncounted({ error, retry }: { error: ApiError; retry: () => void }) {
  return (
    <span class="matches" role="alert" title={error.message}>
      The calls cannot be counted now.{' '}
      <button type="button" class="link" onClick={retry}>
        Try again
      </button>
    </span>
  )
}
