// Calls by time and class. Dragging selects a range, a click one bucket, and a second click takes the range away. The same is
// done with the keyboard in the filter Time.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import type { Summary } from '../api/types'
import { plural } from '../format'
import { setQuery } from '../route'
import type { ChartWindow } from './chartWindow'
import { without } from './filters'
import type { Plot, PlotData } from './plot'
import { byClass, type ClassCounts } from './useSummary'

export interface HistogramProps {
  summary: Summary | undefined
  window: ChartWindow
  /** Whether a time range is selected. */
  narrowed: boolean
}

interface Bar {
  start: number
  counts: ClassCounts
}

export function Histogram({ summary, window, narrowed }: HistogramProps) {
  const element = useRef<HTMLDivElement>(null)
  const [plot, setPlot] = useState<Plot>()
  const [hover, setHover] = useState<{ index: number; x: number }>()
  const bars = useMemo(() => barsOf(summary, window), [summary, window])
  const latest = useRef({ bars, window, narrowed })
  latest.current = { bars, window, narrowed }

  useEffect(() => {
    let created: Plot | undefined
    let alive = true
    import('./plot').then(
      ({ createPlot }) => {
        if (!alive) return
        created = createPlot(element.current!, {
          onSelect: (first, last, click) => select(latest.current, first, last, click),
          onHover: (index, x) => setHover(index === undefined ? undefined : { index, x }),
        })
        setPlot(created)
      },
      (error: unknown) => console.error('loading the histogram:', error),
    )
    return () => {
      alive = false
      created?.destroy()
    }
  }, [])
  useEffect(() => plot?.draw(plotData(bars, window)), [plot, bars, window])

  const bar = hover && bars[hover.index]
  return (
    <div class="histogram">
      <div class="plot" ref={element} role="img" aria-label={describe(bars)} />
      {bar && (
        <div class="hover" style={{ left: `clamp(0px, ${hover.x - 90}px, 100% - 190px)` }}>
          <BarText bar={bar} bucket={window.bucket} />
        </div>
      )}
    </div>
  )
}

function select(
  { bars, window, narrowed }: { bars: Bar[]; window: ChartWindow; narrowed: boolean },
  first: number,
  last: number,
  click: boolean,
) {
  if (click && narrowed) return setQuery(without('time'))
  const from = bars[first]
  const to = bars[last]
  if (!from || !to) return
  const end = to.start + window.bucket
  setQuery({
    last: '',
    from: new Date(from.start).toISOString(),
    to: end < Date.now() ? new Date(end).toISOString() : '',
  })
}

function barsOf(summary: Summary | undefined, { start, end, bucket }: ChartWindow): Bar[] {
  const counts = new Map((summary?.buckets ?? []).map((b) => [Date.parse(b.startTime), byClass(b.counts)]))
  const none: ClassCounts = { success: 0, clientError: 0, serverError: 0, other: 0 }
  const bars: Bar[] = []
  for (let at = start; at < end; at += bucket) bars.push({ start: at, counts: counts.get(at) ?? none })
  return bars
}

function plotData(bars: Bar[], { bucket, end, selected }: ChartWindow): PlotData {
  const list = (name: keyof ClassCounts) => bars.map((bar) => bar.counts[name])
  return {
    times: bars.map((bar) => bar.start / 1000),
    counts: [list('success'), list('other'), list('clientError'), list('serverError')],
    bucketSeconds: bucket / 1000,
    endSeconds: end / 1000,
    selected,
  }
}

function describe(bars: Bar[]): string {
  const sum = (name: keyof ClassCounts) => bars.reduce((n, bar) => n + bar.counts[name], 0)
  const parts = [
    plural(sum('success') + sum('other') + sum('clientError') + sum('serverError'), 'call'),
    plural(sum('clientError'), 'client error'),
    plural(sum('serverError'), 'server error'),
  ]
  return `Calls by time: ${parts.join(', ')}`
}

const moment = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' })

// formatRange names the day once, where it is one day.
const times = (bar: Bar, bucket: number): string => moment.formatRange(bar.start, bar.start + bucket)

function BarText({ bar, bucket }: { bar: Bar; bucket: number }) {
  const { success, other, clientError, serverError } = bar.counts
  return (
    <>
      <div class="faint">{times(bar, bucket)}</div>
      <div class="figures">{plural(success + other + clientError + serverError, 'call')}</div>
      {clientError > 0 && <div class="status client-error">{plural(clientError, 'client error')}</div>}
      {serverError > 0 && <div class="status server-error">{plural(serverError, 'server error')}</div>}
    </>
  )
}
