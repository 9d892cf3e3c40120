import { Cross } from '../../ui/icons'
import type { MetadataRow } from '../draft'
import type { FieldProps } from './KeyForm'

const maxRows = 64 // as the API has it

/** MetadataField is a row for each name and value. */
export function MetadataField({ draft, onChange, invalid }: FieldProps) {
  const rows = draft.metadata.length > 0 ? draft.metadata : [{ name: '', value: '' }]
  const set = (metadata: readonly MetadataRow[]) => onChange({ ...draft, metadata })
  const change = (index: number, changes: Partial<MetadataRow>) =>
    set(rows.map((row, i) => (i === index ? { ...row, ...changes } : row)))
  return (
    <div class="metadata">
      {rows.map((row, i) => (
        <div class="metadata-row" key={i}>
          <input
            id={i === 0 ? 'field-metadata' : undefined}
            class="input mono"
            aria-label={`Name ${i + 1}`}
            placeholder="name"
            autocomplete="off"
            value={row.name}
            onInput={(event) => change(i, { name: event.currentTarget.value })}
            {...invalid}
          />
          <textarea
            class="input"
            rows={1}
            dir="auto"
            aria-label={`Value ${i + 1}`}
            placeholder="value"
            value={row.value}
            onInput={(event) => change(i, { value: event.currentTarget.value })}
          />
          <button
            type="button"
            class="button icon plain"
            aria-label={`Remove row ${i + 1}`}
            onClick={() => set(rows.filter((_, at) => at !== i))}
          >
            <Cross />
          </button>
        </div>
      ))}
      {rows.length < maxRows && (
        <button type="button" class="link" onClick={() => set([...rows, { name: '', value: '' }])}>
          Add a row
        </button>
      )}
    </div>
  )
}
