import { useState } from 'preact/hooks'
import { span } from '../format'
import { setQuery } from '../route'
import { Chevron } from '../ui/icons'
import { Popover } from '../ui/popups'
import { ranges, without, type TimeRange } from './filters'

/** TimeFilter selects a range of time: the same as dragging in the histogram. */
export function TimeFilter({ range, retentionMs }: { range: TimeRange; retentionMs: number }) {
  const active = range.last || range.from || range.to
  const all = `Last ${span(retentionMs)}`
  return (
    <span class={active ? 'pill active' : 'pill'}>
      <Popover
        title="Time"
        triggerClass="button"
        contentClass="popup time-range"
        trigger={
          <>
            Time <b>{active ? describeRange(range) : all}</b>
            <Chevron />
          </>
        }
        content={(close) => <Ranges range={range} all={all} close={close} />}
      />
    </span>
  )
}

const moment = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' })

/** describeRange writes a range for people. */
export function describeRange({ last, from, to }: TimeRange): string {
  const preset = ranges.find((r) => r.ms === last)
  if (preset) return preset.label
  if (!from) return `until ${moment.format(to)}`
  return to ? moment.formatRange(from, to) : `since ${moment.format(from)}`
}

function Ranges({ range, all, close }: { range: TimeRange; all: string; close: () => void }) {
  const choose = (query: Record<string, string>) => {
    setQuery({ ...without('time'), ...query })
    close()
  }
  const none = !range.last && !range.from && !range.to
  return (
    <>
      {ranges.map(({ value, label, ms }) => (
        <Preset key={value} label={label} chosen={range.last === ms} onClick={() => choose({ last: value })} />
      ))}
      <Preset label={all} chosen={none} onClick={() => choose({})} />
      <hr class="separator" />
      <Custom range={range} onChoose={choose} />
    </>
  )
}

function Preset({ label, chosen, onClick }: { label: string; chosen: boolean; onClick: () => void }) {
  return (
    <button type="button" class="option" aria-pressed={chosen} data-state={chosen ? 'checked' : undefined} onClick={onClick}>
      <span>{label}</span>
      <span class="tick" aria-hidden="true">
        ✓
      </span>
    </button>
  )
}

function Custom({ range, onChoose }: { range: TimeRange; onChoose: (query: Record<string, string>) => void }) {
  const [from, setFrom] = useState(toInput(range.from))
  const [to, setTo] = useState(toInput(range.to))
  const wrong = from !== '' && to !== '' && from >= to
  const submit = (event: Event) => {
    event.preventDefault()
    if (!wrong) onChoose({ from: fromInput(from), to: fromInput(to) })
  }
  return (
    <form class="custom" onSubmit={submit}>
      <label class="field">
        <span class="label">From</span>
        <input class="input" type="datetime-local" value={from} onInput={(e) => setFrom(e.currentTarget.value)} />
      </label>
      <label class="field">
        <span class="label">To</span>
        <input class="input" type="datetime-local" value={to} onInput={(e) => setTo(e.currentTarget.value)} />
      </label>
      {wrong && (
        <p class="wrong" role="alert">
          The end must be after the start.
        </p>
      )}
      <button type="submit" class="button" disabled={wrong || (from === '' && to === '')}>
        Apply
      </button>
    </form>
  )
}

// The input has local time without a zone.
function toInput(ms: number): string {
  if (!ms) return ''
  return new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 16)
}

const fromInput = (local: string): string => (local ? new Date(local).toISOString() : '')
