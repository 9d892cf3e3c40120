// The drawing of the histogram, by uPlot. Loaded after the first rows.
import uPlot from 'uplot'

const height = 84 // 64 of bars, 20 of axis
const halfLabel = 20 // pixels
const dragFrom = 4 // pixels; less is a click
const tones = ['--success-pale', '--line', '--client-error-pale', '--server-error'] as const

export interface PlotData {
  /** Starts of the buckets, in seconds. */
  times: number[]
  /** The counts of each bucket, one list a tone, from the bottom to the top. */
  counts: number[][]
  bucketSeconds: number
  endSeconds: number
  selected: { from: number; to: number } | undefined
}

export interface PlotHandlers {
  /** Buckets from `first` to `last` are chosen; one bucket by a click. */
  onSelect: (first: number, last: number, click: boolean) => void
  /** The bucket under the pointer, and its middle in pixels. */
  onHover: (index: number | undefined, x: number) => void
}

export interface Plot {
  draw: (data: PlotData) => void
  destroy: () => void
}

export function createPlot(element: HTMLElement, handlers: PlotHandlers): Plot {
  let data: PlotData = { times: [], counts: [], bucketSeconds: 3600, endSeconds: 0, selected: undefined }
  let colours = readColours(element)
  const bucketAt = (x: number) =>
    Math.min(data.times.length - 1, Math.max(0, Math.floor((u.posToVal(x, 'x') - (data.times[0] ?? 0)) / data.bucketSeconds)))

  const options: uPlot.Options = {
    width: element.clientWidth,
    height,
    padding: [4, 0, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false, dist: dragFrom } },
    scales: {
      x: { range: () => [data.times[0] ?? 0, (data.times.at(-1) ?? 1) + data.bucketSeconds] },
      y: { range: (_, __, max) => [0, max || 1] },
    },
    axes: [axis(() => colours.ink), { show: false }],
    series: [{}, ...tones.map((_, i) => bars(() => colours.tones[tones.length - 1 - i]!))],
    hooks: {
      drawClear: [(plot) => shade(plot, data.selected, colours.shade)],
      setSelect: [
        (plot) => {
          const { left, width } = plot.select
          if (width < dragFrom) return
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
          handlers.onSelect(bucketAt(left), bucketAt(left + width), false)
        },
      ],
      setCursor: [
        (plot) => {
          const x = plot.cursor.left ?? -1
          handlers.onHover(x < 0 || data.times.length === 0 ? undefined : bucketAt(x), x)
        },
      ],
    },
  }
  const u = new uPlot(options, [[], [], [], [], []], element)
  onClick(u.over, (x) => handlers.onSelect(bucketAt(x), bucketAt(x), true))

  const observer = new ResizeObserver(() => u.setSize({ width: element.clientWidth, height }))
  observer.observe(element)
  const dark = matchMedia('(prefers-color-scheme: dark)')
  const recolour = () => {
    colours = readColours(element)
    u.redraw() // also makes the paths again, which hold their colours
  }
  dark.addEventListener('change', recolour)
  return {
    draw: (next) => {
      data = next
      u.setData([data.times, ...stacked(data.counts)] as uPlot.AlignedData)
    },
    destroy: () => {
      dark.removeEventListener('change', recolour)
      observer.disconnect()
      u.destroy()
    },
  }
}

// stacked returns the heights of the stack up to each tone, the highest first: the lower ones are drawn over it.
function stacked(counts: number[][]): number[][] {
  const sums: number[][] = []
  for (const list of counts) sums.unshift(list.map((n, i) => n + (sums[0]?.[i] ?? 0)))
  return sums
}

function bars(fill: () => string): uPlot.Series {
  return { fill, width: 0, points: { show: false }, paths: uPlot.paths.bars!({ size: [0.86, 48, 1], align: 1, radius: 0.08 }) }
}

const dayLabel = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' })
const hourLabel = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' })

function axis(stroke: () => string): uPlot.Axis {
  return {
    size: 20,
    gap: 4,
    space: 90,
    font: '12px Inter, system-ui, sans-serif',
    stroke,
    grid: { show: false },
    ticks: { show: false },
    values: (u, splits) =>
      splits.map((seconds) => {
        const x = u.valToPos(seconds, 'x')
        if (x < halfLabel || x > u.width - halfLabel) return '' // it would be cut off
        const time = new Date(seconds * 1000)
        return time.getHours() === 0 ? dayLabel.format(time) : hourLabel.format(time)
      }),
  }
}

function shade(u: uPlot, selected: PlotData['selected'], colour: string): void {
  if (!selected) return
  const from = u.valToPos(selected.from / 1000, 'x', true)
  const to = u.valToPos(selected.to / 1000, 'x', true)
  u.ctx.fillStyle = colour
  u.ctx.fillRect(from, u.bbox.top, Math.max(to - from, 2), u.bbox.height)
}

// A drag ends with a click event, too.
function onClick(over: HTMLElement, handler: (x: number) => void): void {
  let down = 0
  over.addEventListener('mousedown', (event) => (down = event.clientX))
  over.addEventListener('click', (event) => {
    if (Math.abs(event.clientX - down) < dragFrom) handler(event.offsetX)
  })
}

// readColours resolves custom properties: a canvas does not know them.
function readColours(element: HTMLElement) {
  const probe = document.createElement('span')
  element.append(probe)
  const resolve = (name: string) => {
    probe.style.color = `var(${name})`
    return getComputedStyle(probe).color
  }
  const colours = { tones: tones.map(resolve), ink: resolve('--ink-3'), shade: resolve('--accent-bg') }
  probe.remove()
  return colours
}
