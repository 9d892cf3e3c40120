import type { Summary } from '../api/types'
import { local, plural } from '../format'
import { total } from './useSummary'

/** Matches is how many calls match. Nothing is read out while it changes by itself. */
export function Matches({ summary, live }: { summary: Summary | undefined; live: boolean }) {
  if (!summary) return <span class="matches" />
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
