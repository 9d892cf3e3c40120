// The list of keys: a table whose rows are in the page only while they are seen, if there are many.
import {
  elementScroll,
  measureElement,
  observeElementOffset,
  observeElementRect,
  Virtualizer,
  type VirtualizerOptions,
} from '@tanstack/virtual-core'
import { useImperativeHandle, useLayoutEffect, useRef, useState } from 'preact/hooks'
import type { Key } from '../api/types'
import { nameId, Row, type RowProps } from './Row'

const rowHeight = 38
const allUpTo = 100 // rows that are in the page all the time
const columns = ['Name', 'Scopes', 'Agent access', 'Owner', 'Last used', 'Expires', 'State', 'Actions']
const classes = ['name', 'scopes', 'agents', 'owner', 'used', 'expires', 'state', 'more']

export interface TableHandle {
  /** Moves the focus to a key, and scrolls to it. */
  focus: (id: string) => void
  /** Moves the focus by a number of rows. */
  move: (by: number) => void
}

export interface TableProps extends Omit<RowProps, 'apiKey' | 'index' | 'selected'> {
  keys: readonly Key[]
  selected: string
  handle: { current: TableHandle | null }
}

export function Table({ keys, selected, handle, ...row }: TableProps) {
  const scroller = useRef<HTMLDivElement>(null)
  const wanted = useRef('')
  const virtualizer = useVirtualizer(keys, scroller)
  const focus = (index: number) => {
    const key = keys[index]
    if (!key) return
    wanted.current = key.id
    virtualizer.scrollToIndex(index, { align: 'auto' })
    focusWanted(wanted)
  }
  // A row that was not in the page is there a moment later.
  useLayoutEffect(() => focusWanted(wanted))
  useImperativeHandle(
    handle,
    () => ({
      focus: (id) => focus(keys.findIndex((key) => key.id === id)),
      move: (by) => focus(Math.min(Math.max(focusedIndex(keys) + by, 0), keys.length - 1)),
    }),
    [keys, virtualizer],
  )
  return (
    <div class={keys.length > allUpTo ? 'keys-table many' : 'keys-table'} ref={scroller}>
      <div role="table" aria-label="API keys" aria-rowcount={keys.length + 1}>
        <div role="rowgroup">
          <div role="row" class="key-row heads" aria-rowindex={1}>
            {columns.map((name, i) => (
              <span role="columnheader" key={name} class={classes[i]}>
                {name === 'Actions' ? <span class="visually-hidden">{name}</span> : name}
              </span>
            ))}
          </div>
        </div>
        <div role="rowgroup" class="key-rows" style={{ height: `${virtualizer.getTotalSize()}px` }}>
          {virtualizer.getVirtualItems().map((item) => (
            <div
              role="presentation"
              class="place"
              key={item.key}
              data-index={item.index}
              ref={virtualizer.measureElement}
              style={{ transform: `translateY(${item.start}px)` }}
            >
              <Row {...row} apiKey={keys[item.index]!} selected={keys[item.index]!.id === selected} index={item.index + 2} />
            </div>
          ))}
        </div>
      </div>
    </div>
  )
}

function focusWanted(wanted: { current: string }): void {
  const button = wanted.current && document.getElementById(nameId(wanted.current))
  if (!button) return
  wanted.current = ''
  button.focus({ preventScroll: true })
}

// focusedIndex returns the row that has the focus; -1 if none has.
function focusedIndex(keys: readonly Key[]): number {
  const id = document.activeElement?.closest<HTMLElement>('[data-key]')?.dataset.key
  return keys.findIndex((key) => key.id === id)
}

// useVirtualizer renders the component again when other rows are seen. Rows are measured: on narrow screens they are cards.
function useVirtualizer(keys: readonly Key[], scroller: { current: HTMLDivElement | null }) {
  const [, rerender] = useState({})
  const options: VirtualizerOptions<HTMLDivElement, HTMLDivElement> = {
    count: keys.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeight,
    getItemKey: (index) => keys[index]?.id ?? index,
    overscan: keys.length <= allUpTo ? allUpTo : 12,
    scrollPaddingEnd: rowHeight, // the heading is above the first row
    scrollToFn: elementScroll,
    observeElementRect,
    observeElementOffset,
    measureElement,
    onChange: () => rerender({}),
  }
  const [virtualizer] = useState(() => new Virtualizer(options))
  virtualizer.setOptions(options)
  useLayoutEffect(() => virtualizer._didMount(), [])
  useLayoutEffect(() => virtualizer._willUpdate())
  return virtualizer
}
