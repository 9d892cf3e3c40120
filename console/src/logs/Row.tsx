import { memo } from 'preact/compat'
import type { LogKey, RequestLog } from '../api/types'
import { count, latency, timeOfDay } from '../format'
import { Popover } from '../ui/popups'
import { Status, toneOf } from '../ui/Status'
import { Time } from '../ui/Time'
import { Endpoint } from './Endpoint'
import { Explanation } from './Explanation'
import { KeyName } from '../ui/KeyName'

export interface RowProps {
  row: RequestLog
  logKey: LogKey | undefined
  wanted: string
  room: number
  selected: boolean
  /** The position in the grid, from 1; the heading is 1. */
  index: number
  onOpen: (id: string) => void
}

/** rowId is the id of a row's element. */
export const rowId = (id: string): string => `row-${id}`

/** Row is one call in the list. */
export const Row = memo(function Row({ row, logKey, wanted, room, selected, index, onOpen }: RowProps) {
  return (
    <div role="row" id={rowId(row.id)} class="row" aria-rowindex={index} aria-selected={selected} onClick={() => onOpen(row.id)}>
      <span role="gridcell" class="time figures">
        <Time value={new Date(row.time)} show={timeOfDay(new Date(row.time))} />
      </span>
      <span role="gridcell" class="key">
        {row.keyId ? <KeyName name={row.keyName} last4={row.keyLast4} /> : <span class="faint">No key</span>}
      </span>
      <span role="gridcell" class="endpoint mono" title={row.endpoint}>
        <Endpoint endpoint={row.endpoint} wanted={wanted} room={room} />
      </span>
      <span role="gridcell" class="method data">
        {row.method}
      </span>
      <span role="gridcell" class="state">
        <CallStatus row={row} />
        {row.errorCode && <Chip row={row} logKey={logKey} />}
        {row.callCount > 1 && <Times n={row.callCount} />}
      </span>
      <span role="gridcell" class="latency figures">
        {latency(row.latencyMs)}
      </span>
    </div>
  )
})

export function CallStatus({ row }: { row: RequestLog }) {
  return <Status tone={toneOf(row.status)}>{row.status || 'In progress'}</Status>
}

/** Times says that a row stands for several calls. */
function Times({ n }: { n: number }) {
  return (
    <span class="faint figures" title={`This row stands for ${count(n)} calls of about a second.`}>
      ×{count(n)}
    </span>
  )
}

// Chip opens what the code means. With the keyboard the same is read in the panel, so the list is one stop of Tab.
function Chip({ row, logKey }: { row: RequestLog; logKey: LogKey | undefined }) {
  return (
    <span onClick={(event) => event.stopPropagation()}>
      <Popover
        trigger={row.errorCode}
        triggerClass="chip"
        label={`${row.errorCode}: what it means`}
        tabIndex={-1}
        title={row.errorCode}
        contentClass="popup padded explanation"
        content={() => <Explanation row={row} logKey={logKey} />}
      />
    </span>
  )
}
