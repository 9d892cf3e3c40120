// The list of calls: a grid whose rows are in the page only while they are seen.
import type { VirtualItem } from '@tanstack/virtual-core'
import type { ComponentChildren } from 'preact'
import { useEffect, useImperativeHandle, useMemo, useRef } from 'preact/hooks'
import type { LogKey, RequestLog } from '../api/types'
import { dayHeading } from '../format'
import { Row, rowId } from './Row'
import { withDays } from './rows'
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
  const { rows, keys, wanted, selected, more, onOpen, onEnd, onAway, footer, handle } = props
  const scroller = useRef<HTMLDivElement>(null)
  const grid = useRef<HTMLDivElement>(null)
  const body = useRef<HTMLDivElement>(null)
  const narrow = useNarrow()
  const items = useMemo(() => withDays(rows), [rows])
  const margin = useMargin(body, narrow)
  const virtualizer = useVirtualizer(
    items,
    narrow,
    margin,
    () => (narrow ? scroller.current?.closest('main') : scroller.current) ?? null,
  )
  const seen = virtualizer.getVirtualItems()
  const room = useEndpointRoom(scroller, narrow)

  const last = seen.at(-1)?.index ?? 0
  useEffect(() => {
    if (more && last >= items.length - loadAhead) onEnd()
  }, [more, last, items.length])
  const away = (virtualizer.scrollOffset ?? 0) > margin + rowHeight
  useEffect(() => onAway(away), [away])
  useImperativeHandle(
    handle,
    () => ({
      show: (id) => {
        const index = items.findIndex((item) => item.key === id)
        if (index >= 0) virtualizer.scrollToIndex(index, { align: 'auto' })
      },
      focus: () => grid.current?.focus({ preventScroll: true }),
      toTop: () => virtualizer.scrollToOffset(0),
    }),
    [items, virtualizer],
  )

  const cell = (item: VirtualItem) => {
    const entry = items[item.index]!
    if (entry.kind === 'day') return <Day time={entry.time} index={item.index + 2} />
    return (
      <Row
        row={entry.row}
        logKey={keys.get(entry.row.keyId)}
        wanted={wanted}
        room={room}
        selected={entry.row.id === selected}
        index={item.index + 2}
        onOpen={onOpen}
      />
    )
  }
  return (
    <div class={props.outdated ? 'table outdated' : 'table'} ref={scroller}>
      <div
        ref={grid}
        role="grid"
        tabIndex={0}
        aria-label="Calls"
        aria-rowcount={more ? -1 : items.length + 1}
        aria-colcount={columns.length}
        aria-activedescendant={selected && seen.some((s) => items[s.index]?.key === selected) ? rowId(selected) : undefined}
      >
        <div role="rowgroup">
          <div role="row" class="row heads" aria-rowindex={1}>
            {columns.map((name) => (
              <span role="columnheader" key={name} class={name === 'Latency' ? 'latency' : undefined}>
                {name}
              </span>
            ))}
          </div>
        </div>
        <div role="rowgroup" class="rows" ref={body} style={{ height: `${virtualizer.getTotalSize()}px` }}>
          {seen.map((item) => (
            <div
              role="presentation"
              class="place"
              key={item.key}
              style={{ transform: `translateY(${item.start - margin}px)`, height: `${item.size}px` }}
            >
              {cell(item)}
            </div>
          ))}
        </div>
      </div>
      {footer}
    </div>
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
