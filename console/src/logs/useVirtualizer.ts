// Which rows are seen, and where they stand.
import {
  elementScroll,
  observeElementOffset,
  observeElementRect,
  Virtualizer,
  type VirtualizerOptions,
} from '@tanstack/virtual-core'
import { useLayoutEffect, useMemo, useState } from 'preact/hooks'
import type { Item } from './rows'

export const rowHeight = 38
const narrowRowHeight = 88
const dayHeight = 30

/** useMargin is how far the rows are below the beginning of what scrolls: on narrow screens the whole page does. */
export function useMargin(body: { current: HTMLElement | null }, narrow: boolean): number {
  const [margin, setMargin] = useState(0)
  useLayoutEffect(() => {
    const page = narrow && body.current?.closest('main')
    setMargin(page ? body.current!.getBoundingClientRect().top - page.getBoundingClientRect().top + page.scrollTop : 0)
  })
  return margin
}

/** useVirtualizer renders the component again when other items are seen. */
export function useVirtualizer(items: readonly Item[], narrow: boolean, margin: number, scroller: () => HTMLElement | null) {
  const [, rerender] = useState({})
  // The virtualizer measures again when this function is another one.
  const keyOf = useMemo(() => (index: number) => items[index]?.key ?? index, [items, narrow])
  const sizeOf = (index: number) => (items[index]?.kind === 'day' ? dayHeight : narrow ? narrowRowHeight : rowHeight)
  const options: VirtualizerOptions<HTMLElement, Element> = {
    count: items.length,
    getScrollElement: scroller,
    scrollMargin: margin,
    estimateSize: sizeOf,
    getItemKey: keyOf,
    overscan: 12,
    scrollToFn: elementScroll,
    observeElementRect,
    observeElementOffset,
    onChange: () => rerender({}),
  }
  const [virtualizer] = useState(() => new Virtualizer(options))
  virtualizer.setOptions(options)
  useLayoutEffect(() => virtualizer._didMount(), [])
  useLayoutEffect(() => virtualizer._willUpdate())
  return virtualizer
}
