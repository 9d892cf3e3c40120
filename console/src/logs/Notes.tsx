// What the user has to know about the rows that are shown.
import { local, timeOfDay } from '../format'
import { ErrorNote } from '../ui/states'
import type { Data } from './useData'
import type { Logs } from './useLogs'
import type { Gap } from './useTail'

export function Notes({ data: { tail, logs, uncounted, countAgain } }: { data: Data }) {
  const gap = tail.gap && outdates(tail.gap, logs) ? tail.gap : undefined
  const retry = () => {
    logs.retry()
    if (uncounted) countAgain()
  }
  return (
    <div class="notes">
      {logs.error && (
        <ErrorNote
          error={logs.error}
          what={logs.outdated ? 'The calls cannot be loaded with these filters' : 'The calls cannot be loaded'}
          since={logs.loadedAt}
          retry={retry}
        />
      )}
      {tail.interrupted && (
        <div class="note warning" role="status">
          <span>
            Live is interrupted since {timeOfDay(tail.interrupted.since)}: {tail.interrupted.why.replace(/\.$/, '')}. It goes on
            by itself.
          </span>
        </div>
      )}
      {!tail.interrupted && gap && (
        <div class="note" role="status">
          <span>Calls from before {timeOfDay(gap.before)} may have changed while live was interrupted.</span>
          <button type="button" class="button" onClick={logs.reload}>
            Load again
          </button>
        </div>
      )}
      {logs.unreadable.length > 0 && (
        <div class="note warning" role="status">
          <span>
            Some calls cannot be read, because their storage is damaged:{' '}
            {logs.unreadable.map((r) => `${local(new Date(r.startTime))} to ${local(new Date(r.endTime))}`).join('; ')}.
          </span>
        </div>
      )}
    </div>
  )
}

// A list that was loaded since has all reports. Only calls in progress wait for one.
// First records of calls that old are rare; they get no note.
const outdates = ({ before, known }: Gap, { rows, listedAt }: Logs): boolean =>
  (!listedAt || listedAt < known) && rows.some((row) => row.status === 0 && Date.parse(row.time) < before.getTime())
