// What stands below the last row: that there is more, or why there is not.
import { local, span } from '../format'
import type { Logs } from './useLogs'

/** Foot says how far back the rows go. `short` means that the search ended before its page was full. */
export function Foot({ logs, retentionMs, short }: { logs: Logs; retentionMs: number; short: boolean }) {
  const { page, loading, loadMore, error } = logs
  if (!page || error) return null
  if (short) {
    return (
      <div class="foot">
        <span>
          Searched back to {local(new Date(page.searchedTo))}{' '}
          {loading ? (
            '…'
          ) : (
            <button type="button" class="button" onClick={loadMore}>
              Go on
            </button>
          )}
        </span>
      </div>
    )
  }
  if (page.nextPageToken !== '') return <div class="foot faint">{loading ? 'Loading older calls…' : ''}</div>
  return <div class="foot faint">This is everything. Logs are kept for {span(retentionMs)}.</div>
}
