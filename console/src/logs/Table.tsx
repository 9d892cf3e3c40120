// The list of calls: a grid whose rows are in the page only while they are seen.
import type { ComponentChildren } from 'preact'
import { useEffect, useImperativeHandle, useMemo, useRef } from 'preact/hooks'
import type { LogKey, RequestLog } from '../api/types'
import { dayHeading } from '../format'
import { Row, rowId } from './Row'
import { withDays, type Item } from './rows'
import { useEndpointRoom } from './useEndpointRoom'
import { useNarrow } from './useNarrow'
import { useMargin, useVirtualizer, rowHeight } from './useVirtualizer'

const loadAhead = 60 // rows before the end of the list
const columns = ['Time', 'API Key', 'Endpoint', 'Method', 'Status', 'Latency']

export interface TableHandle {
  /** Scrolls until a row is seen. */
  show: (id: string) => void
  focus: () => void
  toTop: () => void
}

export interface TableProps {
  rows: readonly RequestLog[]
  keys: ReadonlyMap<string, LogKey>
  wanted: string
  selected: string
  /** Counts the lists that began anew: each begins at its top. */
  walks: number
  /** Whether older rows may follow. */
  more: boolean
  outdated: boolean
  onOpen: (id: string) => void
  /** Called near the end of the list. */
  onEnd: () => void
  /** Called when the list leaves its beginning, and when it is back there. */
  onAway: (away: boolean) => void
  /** What stands below the last row. */
  footer: ComponentChildren
  handle: { current: TableHandle | null }
}

export function Table(props: TableProps) {
  const { rows, selected, more, onEnd, onAway, footer } = props
  const scroller = useRef<HTMLDivElement>(null)
  const grid = useRef<HTMLDivElement>(null)
  const body = useRef<HTMLDivElement>(null)
  const narrow = useNarrow()
  const items = useMemo(() => withDays(rows), [rows])
  const margin = useMargin(body, narrow)
  const scrolls = () => (narrow ? scroller.current?.closest('main') : scroller.current) ?? null
  const virtualizer = useVirtualizer(items, narrow, margin, scrolls)
  const seen = virtualizer.getVirtualItems()
  const room = useEndpointRoom(scroller, narrow)

  const last = seen.at(-1)?.index ?? 0
  useEffect(() => {
    if (more && last >= items.length - loadAhead) onEnd()
  }, [more, last, items.length])
  const away = (virtualizer.scrollOffset ?? 0) > margin + rowHeight
  useEffect(() => onAway(away), [away])
  useHandle(props, items, grid, virtualizer, margin)
  const selectedSeen = seen.some(({ index }) => items[index]?.key === selected)
  return (
    <div class={props.outdated ? 'table outdated' : 'table'} ref={scroller}>
      <div
        ref={grid}
        role="grid"
        tabIndex={0}
        aria-label="Calls"
        aria-rowcount={more ? -1 : items.length + 1}
        aria-colcount={columns.length}
        aria-activedescendant={selectedSeen ? rowId(selected) : undefined}
      >
        <Heads />
        <div role="rowgroup" class="rows" ref={body} style={{ height: `${virtualizer.getTotalSize()}px` }}>
          {seen.map(({ key, index, start, size }) => (
            <div
              role="presentation"
              class="place"
              key={key}
              style={{ transform: `translateY(${start - margin}px)`, height: `${size}px` }}
            >
              <Entry item={items[index]!} index={index} room={room} table={props} />
            </div>
          ))}
        </div>
      </div>
      {footer}
    </div>
  )
}

// useHandle lets the page scroll the list and focus it. A list that begins anew begins at its top.
function useHandle(
  { handle, walks }: TableProps,
  items: readonly Item[],
  grid: { current: HTMLDivElement | null },
  virtualizer: ReturnType<typeof useVirtualizer>,
  margin: number,
): void {
  const toTop = () => virtualizer.scrollToOffset(Math.min(virtualizer.scrollOffset ?? 0, margin))
  useEffect(toTop, [walks])
  useImperativeHandle(
    handle,
    () => ({
      show: (id) => {
        const index = items.findIndex((item) => item.key === id)
        if (index >= 0) virtualizer.scrollToIndex(index, { align: 'auto' })
      },
      focus: () => grid.current?.focus({ preventScroll: true }),
      toTop,
    }),
    [items, margin],
  )
}

function Heads() {
  return (
    <div role="rowgroup">
      <div role="row" class="row heads" aria-rowindex={1}>
        {columns.map((name) => (
          <span role="columnheader" key={name} class={name === 'Latency' ? 'latency' : undefined}>
            {name}
          </span>
        ))}
      </div>
    </div>
  )
}

function Entry({ item, index, room, table }: { item: Item; index: number; room: number; table: TableProps }) {
  const rowIndex = index + 2 // from 1, after the heads
  if (item.kind === 'day') return <Day time={item.time} index={rowIndex} />
  return (
    <Row
      row={item.row}
      logKey={table.keys.get(item.row.keyId)}
      wanted={table.wanted}
      room={room}
      selected={item.row.id === table.selected}
      index={rowIndex}
      onOpen={table.onOpen}
    />
  )
}

function Day({ time, index }: { time: Date; index: number }) {
  return (
    <div role="row" class="day" aria-rowindex={index}>
      <span role="gridcell" aria-colspan={columns.length}>
        {dayHeading(time, Date.now())}
      </span>
    </div>
  )
}
