import { date } from '../../format'
import { expireTime, localMinute, type Expiry } from '../draft'
import type { FieldProps } from './KeyForm'

const choices: ReadonlyArray<{ kind: Expiry['kind']; label: string }> = [
  { kind: 'never', label: 'Never' },
  { kind: '30', label: 'In 30 days' },
  { kind: '90', label: 'In 90 days' },
  { kind: '365', label: 'In 1 year' },
  { kind: 'date', label: 'At a date' },
]

const day = 86_400_000

/** ExpiryField chooses when a key expires. */
export function ExpiryField({ draft, onChange, invalid }: FieldProps) {
  const { kind, date: at } = draft.expiry
  const set = (changes: Partial<Expiry>) => onChange({ ...draft, expiry: { ...draft.expiry, ...changes } })
  const choose = (chosen: Expiry['kind']) =>
    set({ kind: chosen, date: chosen === 'date' && at === '' ? localMinute(new Date(Date.now() + 30 * day)) : at })
  const days = kind !== 'never' && kind !== 'date'
  return (
    <div class="expiry">
      <select
        id="field-expiry"
        class="input"
        aria-label="Expires"
        value={kind}
        onChange={(event) => choose(event.currentTarget.value as Expiry['kind'])}
        {...invalid}
      >
        {choices.map((choice) => (
          <option key={choice.kind} value={choice.kind}>
            {choice.label}
          </option>
        ))}
      </select>
      {kind === 'date' && (
        <input
          class="input"
          type="datetime-local"
          aria-label="Date and time, in your time zone"
          value={at}
          min={localMinute(new Date())}
          onInput={(event) => set({ date: event.currentTarget.value })}
          {...invalid}
        />
      )}
      {days && <span class="faint">{date(new Date(expireTime(draft.expiry, Date.now())!))}</span>}
    </div>
  )
}
